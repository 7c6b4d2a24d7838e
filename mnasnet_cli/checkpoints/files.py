"""The files of checkpoints: which are complete, which one a MODEL argument means, and which are unfinished."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.errors import CheckpointError, missing_model

CHECKPOINT_FOLDER = "checkpoints"
BEST_FOLDER = "best"


def list_checkpoints(folder: Path) -> list[str]:
    """Return the prefixes of the complete checkpoints in a folder, oldest first.

    These are the checkpoints in TensorFlow's state file; if that is missing or damaged, all checkpoints in the folder.
    """
    listed = _read_state_file(folder)
    if listed is None:
        found = [str(path.with_suffix("")) for path in folder.glob("ckpt-*.index")]
        listed = sorted(
            (prefix for prefix in found if _parse_step(prefix) is not None), key=lambda p: _parse_step(p) or 0
        )
    return [prefix for prefix in listed if Path(f"{prefix}.index").is_file()]


def _read_state_file(folder: Path) -> list[str] | None:
    try:
        state = tf.train.get_checkpoint_state(str(folder))
    except ValueError:  # not text
        return None
    return list(state.all_model_checkpoint_paths) if state and state.all_model_checkpoint_paths else None


def _parse_step(prefix: str) -> int | None:
    number = prefix.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def remove_unfinished(folder: Path) -> None:
    """Remove the files of checkpoints whose writing was interrupted, and a damaged state file."""
    listed = _read_state_file(folder)
    if listed is None and list_checkpoints(folder):
        (folder / "checkpoint").unlink(
            missing_ok=True
        )  # tf.train.CheckpointManager would fail to read it; it writes a new one
        return
    complete = {Path(prefix).name for prefix in listed or ()}
    for path in [*folder.glob("ckpt-*"), *folder.glob("checkpoint.tmp*")]:
        if path.is_dir():  # "ckpt-12_temp": TensorFlow writes there first
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.partition(".")[0] not in complete:
            path.unlink(missing_ok=True)


def newest_checkpoint(run_dir: Path, *, best: bool = False) -> str:
    """Return the prefix of a run's newest checkpoint, or with `best` of its best one if there is one.

    Raises:
      CheckpointError: the run has no checkpoint.
    """
    folders = [BEST_FOLDER, CHECKPOINT_FOLDER] if best else [CHECKPOINT_FOLDER]
    for folder in folders:
        if prefixes := list_checkpoints(run_dir / folder):
            return prefixes[-1]
    raise CheckpointError(
        f"{run_dir} has no checkpoint yet; train it with `mnasnet train-imagenet` or `train-coco`, --run-dir {run_dir}"
    )


def find_checkpoint(model: str, *, best: bool = False) -> str:
    """Return the checkpoint prefix of a MODEL argument: a run directory, a folder of checkpoints, or a prefix.

    A run or folder means its newest checkpoint. With `best`, a run or its folder `checkpoints` means the run's best.

    Raises:
      CheckpointError: there is no such checkpoint.
    """
    path = Path(model)
    if path.is_dir():
        prefixes = list_checkpoints(path)
        if not prefixes:
            return newest_checkpoint(path, best=best)
        absolute = path.absolute()  # "." has no name
        if best and absolute.name == CHECKPOINT_FOLDER:
            return newest_checkpoint(absolute.parent, best=True)
        return prefixes[-1]
    prefix = model.removesuffix(".index")
    if Path(f"{prefix}.index").is_file():
        return prefix
    raise missing_model(model)
