"""The way back: a classifier's weights as a state dict that torchvision or timm loads."""

from __future__ import annotations

import importlib
import io
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.checkpoints.reader import CheckpointContents, read_checkpoint
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.system.optional_packages import install_command
from mnasnet_cli.weights.formats import FORMATS as WEIGHT_FORMATS
from mnasnet_cli.weights.formats import TORCH_EPSILON
from mnasnet_cli.weights.rules import BATCH_COUNTER, to_their_tensors
from mnasnet_cli.weights.tensor_files import read_tensors

FORMATS = ("torchvision", "timm")
_PACKAGES = {"torchvision": "torch", "timm": "safetensors"}
_UNSAID = ("padding", "batch_norm_epsilon", "activation")  # a state dict of other ones has the same tensors
_TIMM_NAMES = {"a1": "semnasnet_{}", "b1": "mnasnet_{}", "small": "mnasnet_small"}
_TIMM_WIDTHS = {0.5: "050", 0.75: "075", 1.0: "100", 1.4: "140"}


@dataclass(frozen=True)
class StateDict:
    """Tensors by their names in a library, and the line of Python that makes the net they fit."""

    tensors: dict[str, np.ndarray]
    version: int
    """Of torchvision's module; the first one leaves stem and first stage unscaled."""
    code: str
    net: dict[str, Any]
    """What its tensors don't say and others of the library don't have, as the section `model.net`."""


def to_state_dict(contents: CheckpointContents, form: str) -> StateDict:
    """A checkpoint's weights as `form`, one of `FORMATS`, has them.

    Raises:
      CheckpointError: the library has no such net: another variant, padding, epsilon or activation.
    """
    kind = next(kind for kind in WEIGHT_FORMATS if kind.name == form)
    info = contents.info
    variant, width = info["variant"], info["width"]
    if info["task"] != "classification":
        raise CheckpointError(f"{contents.prefix} holds a detector; {form} has MnasNet as a classifier")
    if variant not in kind.variants:
        raise CheckpointError(f"{contents.prefix} holds {variant}; {form} has {' and '.join(kind.variants)} only")
    spec = get_spec(variant, width, info.get("net"))
    free = _UNSAID if form == "timm" else ()
    odd: dict[str, Any] = {}
    for version, (_, theirs) in zip((2, 1), kind.candidate_nets(variant, width), strict=False):
        differences = _differences(spec, theirs, free)
        if not differences:
            rules = kind.rules(spec, len(info["labels"]))
            tensors = to_their_tensors(rules, contents.weights)
            code = _timm_code(spec, len(info["labels"])) if form == "timm" else _torchvision_code(width, info["labels"])
            dialects = {name: (getattr(spec.dialect, name), getattr(theirs.dialect, name)) for name in _UNSAID}
            net = {name: ours for name, (ours, usual) in dialects.items() if ours != usual} | (info.get("net") or {})
            return StateDict({**tensors, **_counters(contents, list(tensors))}, version, code, net)
        odd = odd or differences
    details = ", ".join(f"{name} {ours!r} instead of {theirs!r}" for name, (ours, theirs) in odd.items())
    paddable = form == "torchvision" and set(odd) <= {"padding", "batch_norm_epsilon"}
    other = "; --format timm can say so" if paddable else ""
    raise CheckpointError(f"{form} has no such net: {contents.prefix} has {details}{other}")


def check_state_dict(prefix: str, form: str, *, ema: bool = True) -> None:
    """Refuses what `export_state_dict` would refuse, before anything is written.

    Raises:
      CheckpointError: the library has no such net, or the checkpoint can't be read.
      EnvironmentProblem: the package that writes the format is not installed.
    """
    to_state_dict(read_checkpoint(prefix, ema=ema), form)
    _package(_PACKAGES[form])


def export_state_dict(prefix: str, folder: Path, form: str, *, ema: bool = True) -> dict[str, Any]:
    """Writes a checkpoint as a state dict with its manifest into `folder`, and reads it again to compare every bit.

    Raises:
      CheckpointError: the library has no such net, or the checkpoint can't be read.
      EnvironmentProblem: the package that writes the format is not installed.
      OSError: the disk is full; part of it may stand in the folder then.
    """
    contents = read_checkpoint(prefix, ema=ema)
    state = to_state_dict(contents, form)
    encode = _as_torch if form == "torchvision" else _as_safetensors
    path = folder / ("model.pth" if form == "torchvision" else "model.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(state))
    again, _ = read_tensors(str(path))
    if set(again) != set(state.tensors) or any((again[name] != state.tensors[name]).any() for name in again):
        raise CheckpointError(f"{path} does not read back as it was written; the disk may be damaged")
    manifest = {
        "format": form,
        "kind": "classifier",
        **{key: contents.info[key] for key in ("variant", "width", "labels", "names", "preprocessing")},
        "source": contents.prefix,
        "step": contents.step,
        "averaged": contents.averaged,
        "code": state.code,
        "net": state.net,
        "files": [path.name],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return {"format": form, "path": str(path), "bytes": path.stat().st_size, "code": state.code}


def _differences(ours: NetSpec, theirs: NetSpec, free: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """What two nets don't compute alike, by name; of the dialect without the `free` fields."""
    described = []
    for spec in (ours, theirs):
        dialect = ("activation", "expand_from", "squeeze_at", "padding", "batch_norm_epsilon")
        described.append(
            {
                "stem": spec.stem,
                "head": spec.head,
                "widths": [stage.channels for stage in spec.stages],
                "skips": [stage.skip for stage in spec.stages],
                **{name: getattr(spec.dialect, name) for name in dialect if name not in free},
            }
        )
    first, second = described
    return {name: (first[name], second[name]) for name in first if first[name] != second[name]}


def _counters(contents: CheckpointContents, names: list[str]) -> dict[str, np.ndarray]:
    """What PyTorch's batch norm counts: as it came, or the steps of our own training."""
    source = contents.info.get("source") or {}
    if source.get("kind") in FORMATS and "batches_tracked" not in source:
        return {}  # saved before PyTorch counted
    tracked = source.get("batches_tracked", contents.step)
    norms = [name.rpartition(".")[0] + BATCH_COUNTER for name in names if name.endswith(".running_mean")]
    counts = tracked if isinstance(tracked, Mapping) else dict.fromkeys(norms, tracked)
    return {name: np.array(count, np.int64) for name, count in counts.items()}


def _timm_code(spec: NetSpec, classes: int) -> str:
    if spec.width not in _TIMM_WIDTHS or (spec.name == "small" and spec.width != 1.0):
        raise CheckpointError(f"timm has no {spec.name} at width {spec.width:g}")
    dialect = spec.dialect
    options = {
        "num_classes": classes if classes != 1000 else None,
        "pad_type": "same" if dialect.padding == "same" else None,
        "bn_eps": dialect.batch_norm_epsilon if dialect.batch_norm_epsilon != TORCH_EPSILON else None,
        "act_layer": dialect.activation if dialect.activation != "relu" else None,
    }
    name = _TIMM_NAMES[spec.name].format(_TIMM_WIDTHS[spec.width])
    words = [repr(name), *(f"{key}={value!r}" for key, value in options.items() if value is not None)]
    return f"timm.create_model({', '.join(words)}, checkpoint_path='model.safetensors')"


def _torchvision_code(width: float, labels: list[str]) -> str:
    classes = "" if len(labels) == 1000 else f", num_classes={len(labels)}"
    load = "torch.load('model.pth', weights_only=True)"
    return f"net = torchvision.models.MNASNet({width!r}{classes}); net.load_state_dict({load})"


def _as_safetensors(state: StateDict) -> bytes:
    return bytes(_package("safetensors.numpy").save(state.tensors, metadata={"format": "pt"}))


def _as_torch(state: StateDict) -> bytes:
    """Unlike safetensors, this keeps the version without which torchvision's net loads nothing."""
    torch = _package("torch")
    tensors = OrderedDict((name, torch.from_numpy(value.copy())) for name, value in state.tensors.items())
    tensors._metadata = OrderedDict({"": {"version": state.version}})  # type: ignore[attr-defined]
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise EnvironmentProblem(f"this needs the package {package}: `{install_command('import', package)}`") from error
