"""Squeeze-excites that say nothing, made so that integers can hold them.

A trained squeeze-excite may have a bottleneck that is silent: behind its ReLU all units are 0 on every image, and the
gate is the same for all. As integers such a tensor spans no range, and XNNPACK refuses the whole file because of it, so
that an app would have to do without XNNPACK. So one unit becomes a constant to which no one listens, and the tensor
spans from 0 to that constant. What the net computes on these images stays exactly what it was.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnasnet_cli.inference.model import LoadedModel, with_weights

REDUCE, EXPAND = "excitation_reduce", "excitation_expand"
# A bottleneck is silent up to this share of the largest sum before its ReLU. XNNPACK gives up at less, where the range
# is 1/256 of one step of input times one step of weight; and what is 0 in 256 steps of that sum's range says nothing.
_SILENT = 1e-3


def awakened(loaded: LoadedModel, sums: Mapping[str, np.ndarray], calm: np.ndarray) -> tuple[LoadedModel, list[str]]:
    """The model with a constant unit in each silent bottleneck, and what was done, in words for the manifest.

    Args:
      sums: what goes into the ReLU of each bottleneck, by its scope ("…/excitation_reduce"), [N, units], for N images.
      calm: which of the images the scales are taken from, bool [N].
    """
    changed: dict[str, np.ndarray] = {}
    notes = []
    for scope, values in sorted(sums.items()):
        room = np.abs(values[calm]).max()
        if values[calm].max() > _SILENT * room:
            continue
        # The one that stayed furthest below 0, on the images that were left out, too: the last that would wake up.
        unit = int(values.max(axis=0).argmin())
        expand = scope.removesuffix(REDUCE) + EXPAND
        kernel, bias, listeners = (
            loaded.contents.weights[name].copy()
            for name in (f"{scope}/weights", f"{scope}/biases", f"{expand}/weights")
        )
        kernel[..., unit] = 0.0
        bias[unit] = room or 1.0  # the layer's own range, so that there is room for other units that may wake up
        listeners[:, :, unit] = 0.0
        changed |= {f"{scope}/weights": kernel, f"{scope}/biases": bias, f"{expand}/weights": listeners}
        notes.append(
            f"{scope}: all {len(bias)} units were 0 on all calibration images; unit {unit} is a constant now that goes "
            "nowhere, and would no longer answer on other images"
        )
    return (with_weights(loaded, changed) if changed else loaded), notes
