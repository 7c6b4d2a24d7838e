"""Weights from elsewhere into a checkpoint of this toolkit, together with the preprocessing that belongs to them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER
from mnasnet_cli.checkpoints.format import SavedText
from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.checkpoints.restoring import load_weights
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.models.classifier import make_classifier
from mnasnet_cli.models.detector import make_detector
from mnasnet_cli.models.info import classifier_info, detector_info
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE
from mnasnet_cli.weights.class_lists import classifier_classes, detector_classes
from mnasnet_cli.weights.formats import Kind, find_kind
from mnasnet_cli.weights.name_maps import LOGITS
from mnasnet_cli.weights.rules import COUNTER, SCOPE, Rule, describe_faults, find_faults, take
from mnasnet_cli.weights.tensor_files import find_tensorflow, read_tensors

WIDTHS = (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)  # that someone published weights at


@dataclass(frozen=True)
class Imported:
    """Foreign weights as ours."""

    kind: Kind
    config: Config
    info: dict[str, Any]
    """As `Task.model_info`, and `source`: where the weights are from, and what of them was left out."""
    weights: dict[str, np.ndarray]


def read_foreign(
    source: str,
    variant: str,
    width: float = 1.0,
    *,
    labels_file: Path | None = None,
    image_size: int | None = None,
    assignments: Iterable[str] = (),
    ema: bool = True,
) -> Imported:
    """Reads weights of any kind that `weights.formats` lists.

    Args:
      source: a file, a folder or a checkpoint's prefix.
      labels_file: a line for each class, as labels.txt of a record folder; ImageNet's or COCO's classes without.
      image_size: side of the images that the weights were trained for, px; the net's own where None.
      assignments: "model.net.padding=same" or any other setting over what the kind brings with it.
      ema: take averaged weights where there are any.

    Raises:
      CheckpointError: not a checkpoint, of no kind that is known, or not of this net: listing all that doesn't fit.
      DataError: the labels are not those of the weights.
      ConfigError: an assignment is at fault.
      EnvironmentProblem: the package that reads this format is not installed.
    """
    tensors, averaged = read_tensors(source, ema=ema)
    kind = find_kind(source, tensors)
    tensors = dict(kind.tensors(tensors))
    if variant not in kind.variants:
        raise CheckpointError(
            f"{source} holds {kind.title}, which exists as {' or '.join(kind.variants)} and not as {variant}"
            f"{_other_net(kind, tensors)}"
        )
    outputs = _outputs(kind, tensors)
    changes, spec, rules = _fitting(source, kind, variant, width, tensors, outputs)
    counters = _take_counters(tensors)
    select = detector_classes if kind.detector else classifier_classes
    labels, names, kept = select(outputs, labels_file)
    weights = _select_outputs(kind, take(rules, tensors), kept, outputs)
    config = _configuration(source, kind, variant, width, changes, spec, image_size, assignments)
    info = (detector_info if kind.detector else classifier_info)(config, labels, names)
    info["source"] = {
        "kind": kind.name,
        "file": Path(source).name,
        "sha256": _sha256(source),
        "averaged": averaged,
        "outputs": outputs,
        "kept_outputs": [int(kept[0]), int(kept[-1])] if len(kept) == kept[-1] - kept[0] + 1 else kept.tolist(),
        "label_offset": 1,  # a record's label less the place of its class among `labels`
        **({"batches_tracked": counters} if counters else {}),
    }
    return Imported(kind, config, info, weights)


def write_checkpoint(imported: Imported, out: Path) -> str:
    """Writes weights as a checkpoint below the folder `out` and returns its prefix; all of it, or nothing.

    Raises:
      CheckpointError: there is something at `out` already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} exists already; choose another folder, or remove it")
    config, labels = imported.config, imported.info["labels"]
    model = (make_detector if imported.kind.detector else make_classifier)(config, len(labels))
    load_weights(model, CheckpointContents(str(out), 0, imported.info, imported.weights, False))
    checkpoint = tf.train.Checkpoint(
        step=tf.Variable(0, dtype=tf.int64, trainable=False),
        model=model,
        info=SavedText(json.dumps(imported.info)),
        losses=SavedText("[]"),
    )
    target = out.resolve()
    exists = target.is_dir()  # then it stays: a shell may be in it, or a disk be mounted there
    above = target if exists else target.parent
    above.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=above))
    try:
        folder = temporary / "whole" / CHECKPOINT_FOLDER
        manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1, checkpoint_name="ckpt")
        manager.save(checkpoint_number=0)
        if exists:
            folder.replace(target / CHECKPOINT_FOLDER)
        else:
            folder.parent.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(out / CHECKPOINT_FOLDER / "ckpt-0")


def _fitting(
    source: str, kind: Kind, variant: str, width: float, tensors: Mapping[str, np.ndarray], outputs: int
) -> tuple[dict[str, Any], NetSpec, list[Rule]]:
    """The net of the kind that the tensors are of."""
    found: list[tuple[str, str]] | None = None
    for changes, spec in kind.specs(variant, width):
        rules = kind.rules(spec, outputs)
        faults = find_faults(rules, _without_counters(rules, tensors))
        if not faults:
            return changes, spec, rules
        if found is None or len(faults) < len(found):
            found = faults
    assert found
    raise CheckpointError(
        f"{source} holds {kind.title}, but not {variant} at width {width:g}{_other_net(kind, tensors)}; "
        f"{len(found)} tensors don't fit: {describe_faults(found)}"
    )


def _other_net(kind: Kind, tensors: Mapping[str, np.ndarray]) -> str:
    """How to say what it is, for the end of a sentence; "" where that isn't known either."""
    outputs = _outputs(kind, tensors)
    for variant in kind.variants:
        for width in WIDTHS:
            for _, spec in kind.specs(variant, width):
                rules = kind.rules(spec, outputs)
                if not find_faults(rules, _without_counters(rules, tensors)):
                    return f"; it fits --variant {variant} --width {width:g}"
    return ""


def _outputs(kind: Kind, tensors: Mapping[str, np.ndarray]) -> int:
    """Outputs of the last layer, a detector's for one anchor with the background; or the usual ones."""
    last = tensors.get(kind.classifier)
    if last is None or last.ndim != 1 or not last.size:
        return 91 if kind.detector else 1000
    return max(1, last.size // kind.detector.anchors) if kind.detector else last.size


def _without_counters(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the counters of batch norms that the net has."""
    known = {rule.theirs.rpartition(".")[0] + COUNTER for rule in rules if rule.theirs.endswith(".running_mean")}
    return {name: tensor for name, tensor in tensors.items() if name not in known}


def _take_counters(tensors: Mapping[str, np.ndarray]) -> int | dict[str, int] | None:
    """What PyTorch counted: one number where all batch norms say the same, and the way back needs no more."""
    counters = {name: int(tensor) for name, tensor in tensors.items() if name.endswith(COUNTER) and not tensor.shape}
    norms = sum(name.endswith(".running_mean") for name in tensors)
    values = set(counters.values())
    return (values.pop() if len(values) == 1 and len(counters) == norms else counters) if counters else None


def _select_outputs(
    kind: Kind, weights: dict[str, np.ndarray], kept: np.ndarray, outputs: int
) -> dict[str, np.ndarray]:
    """The weights with the last layer's outputs of the classes alone."""
    if len(kept) == outputs:
        return weights
    last = f"{HEADS_SCOPE}/ClassPredictor/" if kind.detector else f"{SCOPE}/{LOGITS}/"
    anchors = kind.detector.anchors if kind.detector else 1
    for name in [name for name in weights if name.startswith(last)]:
        *leading, _ = weights[name].shape
        by_anchor = weights[name].reshape(*leading, anchors, outputs)[..., kept]
        weights[name] = np.ascontiguousarray(by_anchor.reshape(*leading, anchors * len(kept)))
    return weights


def _configuration(
    source: str,
    kind: Kind,
    variant: str,
    width: float,
    changes: dict[str, Any],
    spec: NetSpec,
    image_size: int | None,
    assignments: Iterable[str],
) -> Config:
    size = image_size or (kind.detector.image_size if kind.detector else spec.image_size)
    tree: dict[str, Any] = {
        "task": "coco" if kind.detector else "imagenet",
        "model": {"variant": variant, "width": width, "net": changes},
        "data": {"image_size": size, **kind.preprocessing(width, size)},
    }
    if kind.detector:
        tree["detection"] = {
            "family": kind.detector.name,
            "pyramid_norm": kind.detector.fpn_norm,
            "pyramid_activation": kind.detector.fpn_activation,
        }
    return load_config(base=tree, base_name=source, assignments=assignments)


def _sha256(source: str) -> str:
    prefix = find_tensorflow(Path(source))
    paths = sorted(Path(prefix).parent.glob(f"{Path(prefix).name}.data-*")) if prefix else [Path(source)]
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
