"""Writes a classifier's weights as a state dict for torchvision or timm."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.config.net_table import net_label
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem
from mnasnet_cli.export.artifact import Artifact
from mnasnet_cli.inference.manifest import MANIFEST_FILE
from mnasnet_cli.inference.verification import checksums_of
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.spec import NETS, get_spec
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.optional_packages import install_command
from mnasnet_cli.weights.formats import FORMATS, TORCH_EPSILON
from mnasnet_cli.weights.rules import BATCH_COUNTER, to_their_tensors
from mnasnet_cli.weights.tensor_files import read_tensors

_PACKAGES = {"torchvision": "torch", "timm": "safetensors"}
_FILES = {"torchvision": "model.pth", "timm": "model.safetensors"}
# Settings of a net that don't show in the names and shapes of its tensors.
_INVISIBLE = ("padding", "batch_norm_epsilon", "activation")
# Versions of torchvision's net, as `WeightFormat.candidate_nets` lists them. Version 1 doesn't scale the stem and the
# first stage with the width.
_VERSIONS = (2, 1)
_TIMM_NAMES = {
    "a1": "semnasnet_{}", "b1": "mnasnet_{}", "small": "mnasnet_small", "mobilenet-v2": "mobilenetv2_{}",
}  # fmt: skip
_TIMM_WIDTHS = {0.35: "035", 0.5: "050", 0.75: "075", 1.0: "100", 1.4: "140"}


@dataclass(frozen=True)
class StateDict:
    """The tensors of a net under a library's names."""

    tensors: dict[str, np.ndarray]
    version: int
    """The version of torchvision's net."""
    code: str
    """The line of Python that makes the net and loads the tensors."""
    net: dict[str, Any]
    """The settings (section `model.net`) that the tensors don't show and that differ from the library's default."""


def to_state_dict(contents: CheckpointContents, format: str) -> StateDict:
    """Convert a checkpoint's weights to one of STATE_DICT_FORMATS.

    Raises:
      CheckpointError: the library has no such net: another variant, padding, epsilon or activation.
    """
    info = contents.info
    variant, width, labels = info["variant"], info["width"], info["labels"]
    if contents.task != "classification":
        raise CheckpointError(
            f"{contents.prefix} holds a detector, but {format} has these nets only as classifiers; leave this format "
            "out"
        )
    formats = [one for one in FORMATS if one.library == format]
    weight_format = next((one for one in formats if variant in one.variants), None)
    if weight_format is None or info.get("table"):
        *others, last = (name for one in formats for name in one.variants)
        raise CheckpointError(
            f"{contents.prefix} holds {net_label(info)}, but {format} has only {', '.join(others)} and {last}; leave "
            "this format out"
        )
    spec = get_spec(variant, width, info.get("net"))
    candidates = [theirs for _, theirs in weight_format.candidate_nets(variant, width)]
    # timm's nets take these settings as arguments.
    ignored = _INVISIBLE if format == "timm" else ()
    differences = [_differences(spec, theirs, ignored) for theirs in candidates]
    if all(differences):
        raise CheckpointError(f"{format} has no such net: {contents.prefix} has {_explain(differences[0], format)}")
    match = differences.index({})
    code = _timm_code(spec, len(labels)) if format == "timm" else _torchvision_code(variant, width, len(labels))
    tensors = to_their_tensors(weight_format.rules(spec, len(labels)), contents.weights)
    return StateDict(
        tensors={**tensors, **_batch_counters(contents, tensors)},
        version=_VERSIONS[match],
        code=code,
        net=_invisible_settings(spec, candidates[match]) | (info.get("net") or {}),
    )


def check_state_dict(contents: CheckpointContents, format: str) -> None:
    """Raise the errors of `write_state_dict` that are known before anything is written.

    Raises:
      CheckpointError: the library has no such net.
      EnvironmentProblem: the package that writes the format is not installed.
    """
    to_state_dict(contents, format)
    _import_package(_PACKAGES[format])


def write_state_dict(contents: CheckpointContents, folder: Path, format: str) -> Artifact:
    """Write a state dict with its manifest, read the tensors back, and compare them bit by bit.

    Raises:
      CheckpointError: the library has no such net.
      EnvironmentProblem: the package that writes the format is not installed, or the tensors changed on disk.
    """
    state = to_state_dict(contents, format)
    path = folder / _FILES[format]
    write_atomically(path, _encode_torch(state) if format == "torchvision" else _encode_safetensors(state))
    stored, _ = read_tensors(str(path))
    if set(stored) != set(state.tensors) or any((stored[name] != state.tensors[name]).any() for name in stored):
        raise EnvironmentProblem(f"the tensors in {path} differ from those that were written; check the disk")
    manifest = {
        "format": format,
        "kind": "classifier",
        **{key: contents.info[key] for key in ("variant", "width", "labels", "names", "preprocessing")},
        "source": contents.prefix,
        "step": contents.step,
        "averaged": contents.averaged,
        "code": state.code,
        "net": state.net,
        "files": [path.name],
        "checksums": {name: dataclasses.asdict(found) for name, found in checksums_of(folder, [path.name]).items()},
    }
    write_atomically(folder / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")
    return Artifact(path, load_code=state.code)


def _differences(ours: NetSpec, theirs: NetSpec, ignored: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Return what two nets compute differently, by name: (ours, theirs)."""
    first, second = _describe(ours), _describe(theirs)
    return {
        name: (value, second[name]) for name, value in first.items() if name not in ignored and value != second[name]
    }


def _describe(spec: NetSpec) -> dict[str, Any]:
    dialect = ("activation", "expand_from", "squeeze_at", "padding", "batch_norm_epsilon")
    return {
        "stem": spec.stem,
        "head": spec.head,
        "widths": [stage.channels for stage in spec.stages],
        "skips": [stage.skip for stage in spec.stages],
        **{name: getattr(spec.dialect, name) for name in dialect},
    }


def _explain(differences: Mapping[str, tuple[Any, Any]], format: str) -> str:
    details = ", ".join(f"{name} {ours!r} instead of {theirs!r}" for name, (ours, theirs) in differences.items())
    timm_takes_it = format == "torchvision" and set(differences) <= {"padding", "batch_norm_epsilon"}
    return details + ("; use --format timm, which can express this" if timm_takes_it else "")


def _invisible_settings(ours: NetSpec, theirs: NetSpec) -> dict[str, Any]:
    pairs = {name: (getattr(ours.dialect, name), getattr(theirs.dialect, name)) for name in _INVISIBLE}
    return {name: value for name, (value, default) in pairs.items() if value != default}


def _batch_counters(contents: CheckpointContents, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return the counters of PyTorch's batch norms: as they were imported, or the steps of our own training."""
    source = contents.info.get("source") or {}
    kinds = [one.name for one in FORMATS if one.library is not None]
    if source.get("kind") in kinds and "batches_tracked" not in source:
        return {}  # imported from a file that was saved before PyTorch had counters
    tracked = source.get("batches_tracked", contents.step)
    norms = [name.rpartition(".")[0] + BATCH_COUNTER for name in names if name.endswith(".running_mean")]
    counts = tracked if isinstance(tracked, Mapping) else dict.fromkeys(norms, tracked)
    return {name: np.array(count, np.int64) for name, count in counts.items()}


def _timm_code(spec: NetSpec, classes: int) -> str:
    only = {"small": (1.0,), "mobilenet-v2": (0.35, 0.5, 0.75, 1.0, 1.4)}
    if spec.width not in only.get(spec.name, (0.5, 0.75, 1.0, 1.4)):
        raise CheckpointError(f"timm has no {spec.name} at width {spec.width:g}")
    dialect = spec.dialect
    options = {
        "num_classes": classes if classes != 1000 else None,
        "pad_type": "same" if dialect.padding == "same" else None,
        "bn_eps": dialect.batch_norm_epsilon if dialect.batch_norm_epsilon != TORCH_EPSILON else None,
        "act_layer": dialect.activation if dialect.activation != NETS[spec.name].dialect.activation else None,
    }
    name = _TIMM_NAMES[spec.name].format(_TIMM_WIDTHS[spec.width])
    arguments = [repr(name), *(f"{key}={value!r}" for key, value in options.items() if value is not None)]
    return f"timm.create_model({', '.join(arguments)}, checkpoint_path='{_FILES['timm']}')"


def _torchvision_code(variant: str, width: float, classes: int) -> str:
    num_classes = [] if classes == 1000 else [f"num_classes={classes}"]
    load = f"torch.load('{_FILES['torchvision']}', weights_only=True)"
    name, scale = ("MobileNetV2", f"width_mult={width!r}") if variant == "mobilenet-v2" else ("MNASNet", repr(width))
    return f"net = torchvision.models.{name}({', '.join([scale, *num_classes])}); net.load_state_dict({load})"


def _encode_safetensors(state: StateDict) -> bytes:
    return bytes(_import_package("safetensors.numpy").save(state.tensors, metadata={"format": "pt"}))


def _encode_torch(state: StateDict) -> bytes:
    """Encode with `torch.save`, which stores the version. Without it, torchvision's net doesn't load the tensors."""
    torch = _import_package("torch")
    tensors = OrderedDict((name, torch.from_numpy(value.copy())) for name, value in state.tensors.items())
    tensors._metadata = OrderedDict({"": {"version": state.version}})  # type: ignore[attr-defined]
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()


def _import_package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise EnvironmentProblem(f"this needs the package {package}: `{install_command('import', package)}`") from error
