"""Reads the tensors of PyTorch files, safetensors files and TensorFlow checkpoints. No code from a file is run."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.checkpoints.format import INFO, value_key
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem, first_line
from mnasnet_cli.system.optional_packages import install_command
from mnasnet_cli.system.plain_paths import plain_folder

EXPECTED = "a state dict (.pth, .pt or .safetensors) or a TensorFlow checkpoint (its prefix or its folder)"
_AVERAGE = "/ExponentialMovingAverage"
# What TensorFlow's optimizers and training loops save beside the net.
_OPTIMIZER = ("Momentum", "RMSProp", "RMSProp_1", "RMSProp_2", "Adam", "Adam_1", "ExponentialMovingAverage")
_COUNTERS = ("global_step", "learning_rate", "beta1_power", "beta2_power", "iterations_per_loop", "num_updates")
_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library


def read_tensors(source: str, *, ema: bool = True) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the tensors of a net, without the state of its training.

    Args:
      source: a file, a folder or a checkpoint prefix.
      ema: prefer averaged weights.

    Returns:
      arrays by their names in the file, and whether any of them are averages.

    Raises:
      CheckpointError: nothing there, not a checkpoint, damaged, or more than tensors.
      EnvironmentProblem: the package that reads the format is not installed.
    """
    path = Path(source)
    prefix = find_tensorflow_checkpoint(path)
    if prefix is not None:
        return _read_tensorflow(prefix, ema)
    if path.is_dir():
        raise CheckpointError(f"the folder {source} holds no checkpoint; expected {EXPECTED}")
    if not path.is_file():
        raise CheckpointError(f"{source} does not exist; expected {EXPECTED}")
    if _is_safetensors(path):
        return _read_safetensors(path), False
    with open(path, "rb") as file:
        start = file.read(2)
    if start == b"PK" or (len(start) == 2 and start[0] == 0x80 and start[1] <= pickle.HIGHEST_PROTOCOL):
        return _read_torch(path, ema)
    raise CheckpointError(f"{source} is not a checkpoint; expected {EXPECTED}")


def find_tensorflow_checkpoint(path: Path) -> str | None:
    """The prefix of a TensorFlow checkpoint, None if there is none.

    `path` is the prefix, one of the checkpoint's files, or a folder, whose newest checkpoint counts.
    """
    if path.is_dir():
        import tensorflow as tf

        with plain_folder(path) as plain:
            try:
                newest = tf.train.latest_checkpoint(str(plain))
            except ValueError:  # the state file is not text
                newest = None
            newest = newest and newest.replace(str(plain), str(path), 1)
        if newest is None:
            found = sorted(path.rglob("*.index"))
            newest = str(found[0])[: -len(".index")] if len(found) == 1 else None
        return newest
    prefix = str(path).removesuffix(".index").removesuffix(".meta").partition(".data-0")[0]
    return prefix if Path(f"{prefix}.index").is_file() else None


def _read_tensorflow(prefix: str, ema: bool) -> tuple[dict[str, np.ndarray], bool]:
    import tensorflow as tf

    from mnasnet_cli.checkpoints.reader import open_checkpoint

    try:
        with open_checkpoint(prefix) as reader:
            shapes = reader.get_variable_to_shape_map()
            if value_key(INFO) in shapes:
                raise CheckpointError(f"{prefix} is a checkpoint of mnasnet already; use it without importing it")
            names = {name: name for name in shapes if not _is_training_state(name)}
            averages = {name: name + _AVERAGE for name in names if name + _AVERAGE in shapes} if ema else {}
            tensors = {name: reader.get_tensor(stored) for name, stored in {**names, **averages}.items()}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{prefix} is not a complete TensorFlow checkpoint: {_short(error)}") from error
    return tensors, bool(averages)


def _is_training_state(name: str) -> bool:
    return name.rpartition("/")[2] in (*_OPTIMIZER, *_COUNTERS) or name.startswith("_CHECKPOINTABLE")


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    with open(path, "rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:] != b"{":
        return False
    (length,) = struct.unpack("<Q", start[:8])
    return bool(length <= min(_MAX_HEADER, path.stat().st_size))


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            f"reading {path} needs the package safetensors; run `{install_command('import', 'safetensors')}`"
        ) from error
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: _to_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not a complete safetensors file: {_short(error)}") from error


def _read_torch(path: Path, ema: bool) -> tuple[dict[str, np.ndarray], bool]:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            f"reading {path} needs the package torch; run `{install_command('import', 'torch')}`, or convert the "
            "weights to .safetensors"
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors, or is damaged; no code of it was run ({_unpickling_reason(error)})"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a complete PyTorch file: {_short(error)}") from error
    state, averaged = _find_state_dict(loaded, ema)
    tensors = {}
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path} holds no state dict: {name!r} is a {type(value).__name__}, not a tensor")
        value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        tensors[name] = (value.float() if value.is_floating_point() else value).contiguous().numpy()
    if not tensors:
        raise CheckpointError(
            f"{path} holds no state dict; expected one at the top level, or under 'state_dict' or 'model'"
        )
    return tensors, averaged


def _find_state_dict(loaded: Any, ema: bool) -> tuple[Mapping[str, Any], bool]:
    """The state dict in a file, and whether it is averaged. Training scripts put it under one of several keys."""
    if not isinstance(loaded, Mapping):
        return {}, False
    averaged = False
    for key in (*(("state_dict_ema", "model_ema") if ema else ()), "state_dict", "model"):
        if isinstance(loaded.get(key), Mapping):
            loaded, averaged = loaded[key], key.endswith("_ema")
            break
    names = [str(name) for name in loaded if name != "n_averaged"]
    for prefix in ("_orig_mod.", "module."):  # torch.compile and data parallelism put these before every name
        if names and all(name.startswith(prefix) for name in names):
            loaded = {name.removeprefix(prefix): loaded[name] for name in names}
            names = list(loaded)
    return {str(name): value for name, value in loaded.items()}, averaged


def _to_float32(tensor: np.ndarray) -> np.ndarray:
    """Converts floating point to float32 and keeps integers. bfloat16 has no numpy kind, hence the inverted test."""
    return tensor if tensor.dtype.kind in "iub" else tensor.astype(np.float32)


def _unpickling_reason(error: Exception) -> str:
    """The line of torch's long message that names the object it refused."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Unsupported" in line or "unsupported" in line or "GLOBAL" in line]
    return (telling or lines or [type(error).__name__])[0][:200].rstrip(".")


def _short(error: Exception) -> str:
    return first_line(error)[:200].rstrip(".")
