"""Converts weights of other libraries to a checkpoint of this toolkit, with their net settings and preprocessing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, files_of
from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.checkpoints.restoring import load_weights
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.modules.classifier import make_classifier
from mnasnet_cli.modules.detector import make_detector
from mnasnet_cli.modules.info import model_info
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE
from mnasnet_cli.system.files import remove_abandoned, staged_folder
from mnasnet_cli.weights.class_lists import classifier_classes, detector_classes
from mnasnet_cli.weights.formats import WeightFormat, detect_format
from mnasnet_cli.weights.name_maps import LOGITS
from mnasnet_cli.weights.rules import (
    BATCH_COUNTER,
    SCOPE,
    Rule,
    describe_mismatches,
    find_mismatches,
    to_our_weights,
)
from mnasnet_cli.weights.tensor_files import find_tensorflow_checkpoint, read_tensors

PUBLISHED_WIDTHS = (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)  # tried for a suggestion if the given width does not fit


@dataclass(frozen=True)
class ImportedWeights:
    """Converted weights.

    Attributes:
      format: the format that they were read from.
      config: the configuration of the net.
      info: as `Task.model_info`, and `source`: the file, and which of its outputs were kept.
      weights: arrays by our variable names.
    """

    format: WeightFormat
    config: Config
    info: dict[str, Any]
    weights: dict[str, np.ndarray]


class _Net(NamedTuple):
    """A net that the tensors fit: its settings in `model.net`, its spec, and the rules to convert its tensors."""

    settings: dict[str, Any]
    spec: NetSpec
    rules: list[Rule]


def import_weights(
    source: str,
    variant: str,
    width: float = 1.0,
    *,
    table: NetTable | None = None,
    labels_file: Path | None = None,
    image_size: int | None = None,
    assignments: Iterable[str] = (),
    ema: bool = True,
) -> ImportedWeights:
    """Reads and converts weights in any format of `weights.formats`.

    Args:
      source: a file, a folder or a checkpoint prefix.
      variant: the name of the net.
      table: of a net of one's own, which any format may hold whose names and shapes fit; None: a built-in net.
      labels_file: one line per class, as labels.txt of a record folder; the classes of ImageNet or COCO if None.
      image_size: side of the training images in px; the net's default if None.
      assignments: settings such as "model.net.padding=same". They override those of the format.
      ema: prefer averaged weights.

    Raises:
      CheckpointError: not a checkpoint, an unknown format, or tensors that do not fit the net; the message lists them.
      DataError: the labels do not fit the weights.
      ConfigError: an assignment is invalid.
      EnvironmentProblem: the package that reads the format is not installed.
    """
    tensors, averaged = read_tensors(source, ema=ema)
    weight_format = detect_format(source, tensors)
    tensors = dict(weight_format.normalize_names(tensors))
    outputs = _count_outputs(weight_format, tensors)
    net = _match_net(source, weight_format, table or variant, width, tensors, outputs)
    batches_tracked = _batches_tracked(tensors)
    select_classes = detector_classes if weight_format.detector else classifier_classes
    labels, names, kept = select_classes(outputs, labels_file)
    weights = _keep_outputs(weight_format, to_our_weights(net.rules, tensors), kept, outputs)
    tree = _config_tree(weight_format, variant, width, net, image_size)
    tree["model"]["table"] = table.model_dump(mode="json") if table else None
    config = load_config(base=tree, base_name=source, assignments=assignments)
    info = model_info(config, labels, names)
    info["source"] = {
        "kind": weight_format.name,
        "file": Path(source).name,
        "sha256": _sha256(source),
        "averaged": averaged,
        "outputs": outputs,
        "kept_outputs": [int(kept[0]), int(kept[-1])] if len(kept) == kept[-1] - kept[0] + 1 else kept.tolist(),
        "label_offset": 1,  # a record's label minus the index of its class in `labels`
        **({"batches_tracked": batches_tracked} if batches_tracked else {}),
    }
    return ImportedWeights(weight_format, config, info, weights)


def write_checkpoint(imported: ImportedWeights, out: Path) -> str:
    """Writes a checkpoint below the folder `out`, completely or not at all, and returns its prefix.

    Raises:
      CheckpointError: `out` exists and is not an empty folder.
    """
    if out.is_dir():
        remove_abandoned(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} exists already; choose another folder, or remove it")
    config, labels = imported.config, imported.info["labels"]
    model = (make_detector if imported.format.detector else make_classifier)(config, len(labels))
    load_weights(model, CheckpointContents(str(out), 0, imported.info, imported.weights, False))
    state = SavedState(model, imported.info)
    # An empty folder is kept: it may be a mount point or a shell's working directory.
    with staged_folder(out / CHECKPOINT_FOLDER) as folder:
        state.save(CheckpointFolder(folder, keep=1), step=0)
    return str(out / CHECKPOINT_FOLDER / "ckpt-0")


def _match_net(
    source: str,
    weight_format: WeightFormat,
    wanted: str | NetTable,
    width: float,
    tensors: Mapping[str, np.ndarray],
    outputs: int,
) -> _Net:
    """The candidate net without mismatches; CheckpointError lists the fewest mismatches if there is none."""
    variant = wanted if isinstance(wanted, str) else wanted.label
    if isinstance(wanted, str) and wanted not in weight_format.variants:
        raise CheckpointError(
            f"{source} holds {weight_format.title}, which exists as {' or '.join(weight_format.variants)} and not as "
            f"{variant}{_suggest_net(weight_format, tensors, outputs)}"
        )
    fewest: list[tuple[str, str]] = []
    base = wanted if isinstance(wanted, str) else wanted.spec
    for settings, spec in weight_format.candidate_nets(base, width):
        try:
            rules = weight_format.rules(spec, outputs)
        except (CheckpointError, ValueError) as error:  # a layer without a name there; a detector without its levels
            raise CheckpointError(f"{source} holds {weight_format.title}, but not {variant}: {error}") from None
        mismatches = find_mismatches(rules, _without_counters(rules, tensors))
        if not mismatches:
            return _Net(settings, spec, rules)
        if not fewest or len(mismatches) < len(fewest):
            fewest = mismatches
    raise CheckpointError(
        f"{source} holds {weight_format.title}, but not {variant} at width {width:g}"
        f"{_suggest_net(weight_format, tensors, outputs)}; {len(fewest)} tensors do not fit: "
        f"{describe_mismatches(fewest)}"
    )


def _suggest_net(weight_format: WeightFormat, tensors: Mapping[str, np.ndarray], outputs: int) -> str:
    """The end of a message that names the flags of the net that fits; "" if none does."""
    for variant in weight_format.variants:
        for width in PUBLISHED_WIDTHS:
            for _, spec in weight_format.candidate_nets(variant, width):
                rules = weight_format.rules(spec, outputs)
                if not find_mismatches(rules, _without_counters(rules, tensors)):
                    return f"; it fits --variant {variant} --width {width:g}"
    return ""


def _count_outputs(weight_format: WeightFormat, tensors: Mapping[str, np.ndarray]) -> int:
    """The number of class scores, of a detector per anchor and with the background; the usual number if unknown."""
    bias = tensors.get(weight_format.output_bias)
    detector = weight_format.detector
    if bias is None or bias.ndim != 1 or not bias.size:
        return 91 if detector else 1000
    return max(1, bias.size // detector.anchors) if detector else bias.size


def _without_counters(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors without the batch counters of the net's batch norms."""
    counters = {
        rule.theirs.rpartition(".")[0] + BATCH_COUNTER for rule in rules if rule.theirs.endswith(".running_mean")
    }
    return {name: tensor for name, tensor in tensors.items() if name not in counters}


def _batches_tracked(tensors: Mapping[str, np.ndarray]) -> int | dict[str, int] | None:
    """PyTorch's batch counters: one number if all batch norms have the same; the export of a state dict needs them."""
    counters = {
        name: int(tensor) for name, tensor in tensors.items() if name.endswith(BATCH_COUNTER) and not tensor.shape
    }
    norms = sum(name.endswith(".running_mean") for name in tensors)
    values = set(counters.values())
    return (values.pop() if len(values) == 1 and len(counters) == norms else counters) if counters else None


def _keep_outputs(
    weight_format: WeightFormat, weights: dict[str, np.ndarray], kept: np.ndarray, outputs: int
) -> dict[str, np.ndarray]:
    """The weights with only the outputs `kept` in the last layer."""
    if len(kept) == outputs:
        return weights
    last_layer = f"{HEADS_SCOPE}/ClassPredictor/" if weight_format.detector else f"{SCOPE}/{LOGITS}/"
    anchors = weight_format.detector.anchors if weight_format.detector else 1
    for name in [name for name in weights if name.startswith(last_layer)]:
        *leading, _ = weights[name].shape
        by_anchor = weights[name].reshape(*leading, anchors, outputs)[..., kept]
        weights[name] = np.ascontiguousarray(by_anchor.reshape(*leading, anchors * len(kept)))
    return weights


def _config_tree(
    weight_format: WeightFormat, variant: str, width: float, net: _Net, image_size: int | None
) -> dict[str, Any]:
    detector = weight_format.detector
    size = image_size or (detector.image_size if detector else net.spec.image_size)
    tree: dict[str, Any] = {
        "task": "detection" if detector else "classification",
        "model": {"variant": variant, "width": width, "net": net.settings},
        "data": {"image_size": size, **weight_format.preprocessing(width, size)},
    }
    if detector:
        tree["detection"] = {
            "family": detector.name,
            "pyramid_norm": detector.fpn_norm,
            "pyramid_activation": detector.fpn_activation,
        }
    return tree


def _sha256(source: str) -> str:
    """The digest of a file, or of all data files of a TensorFlow checkpoint."""
    prefix = find_tensorflow_checkpoint(Path(source))
    paths = [file for file in files_of(Path(prefix)) if ".data-" in file.name] if prefix else [Path(source)]
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
