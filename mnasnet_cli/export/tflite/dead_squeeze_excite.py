"""Makes squeeze-excites with a dead bottleneck representable in int8.

In a trained squeeze-excite, all units behind the ReLU may be 0 on every image, so that the gate is a constant. In int8,
such a tensor spans no range. XNNPACK then rejects the whole file, and an app has to run it without XNNPACK. So one unit
becomes a constant that the next layer ignores, and the tensor spans the range from 0 to that constant. On the
calibration images the outputs of the net stay exactly the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnasnet_cli.inference.model import LoadedModel, with_weights

REDUCE, EXPAND = "excitation_reduce", "excitation_expand"
# A bottleneck is dead if no input of its ReLU exceeds this share of the largest absolute input. XNNPACK's own limit is
# lower: a range of 1/256 of (one step of the input times one step of the weights). A value that is 0 in 256 steps of
# the inputs' range carries no information.
_DEAD_SHARE = 1e-3


def replace_dead_units(
    loaded: LoadedModel, squeezes: Mapping[str, np.ndarray], chosen: np.ndarray
) -> tuple[LoadedModel, list[str]]:
    """Make one unit of each dead bottleneck a constant.

    Args:
      squeezes: the inputs of the ReLU in each bottleneck by its scope ("…/excitation_reduce"), [N, units], of N images.
      chosen: which of the images are calibration images, bool [N].

    Returns:
      the changed model, or `loaded` if no bottleneck is dead; and a note for the manifest on each change.
    """
    changed: dict[str, np.ndarray] = {}
    notes = []
    for scope, values in sorted(squeezes.items()):
        largest = np.abs(values[chosen]).max()
        if values[chosen].max() > _DEAD_SHARE * largest:
            continue
        # The unit that stayed furthest below 0, on the images that were left out, too: it is the least likely to fire.
        unit = int(values.max(axis=0).argmin())
        next_scope = scope.removesuffix(REDUCE) + EXPAND
        kernel, bias, next_kernel = (
            loaded.contents.weights[name].copy()
            for name in (f"{scope}/weights", f"{scope}/biases", f"{next_scope}/weights")
        )
        kernel[..., unit] = 0.0
        bias[unit] = largest or 1.0  # the layer's own range, which leaves room for other units that fire
        next_kernel[:, :, unit] = 0.0
        changed |= {f"{scope}/weights": kernel, f"{scope}/biases": bias, f"{next_scope}/weights": next_kernel}
        notes.append(
            f"{scope}: all {len(bias)} units were 0 on all calibration images; unit {unit} is now a constant that the "
            "next layer ignores, so it no longer responds to other images"
        )
    return (with_weights(loaded, changed) if changed else loaded), notes
