"""The files of checkpoints: which of them are whole, which one is meant, and what a kill left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.errors import CheckpointError

CHECKPOINT_FOLDER = "checkpoints"
BEST_FOLDER = "best"


def list_checkpoints(folder: Path) -> list[str]:
    """Prefixes of the checkpoints in a folder, oldest first: those that its state file counts as whole.

    Where the state file is lost or damaged, all that are there.
    """
    listed = _listed(folder)
    if listed is None:
        found = [str(path.with_suffix("")) for path in folder.glob("ckpt-*.index")]
        listed = sorted((prefix for prefix in found if _step_of(prefix) is not None), key=lambda p: _step_of(p) or 0)
    return [prefix for prefix in listed if Path(f"{prefix}.index").is_file()]


def _listed(folder: Path) -> list[str] | None:
    try:
        state = tf.train.get_checkpoint_state(str(folder))
    except ValueError:  # not even text
        return None
    return list(state.all_model_checkpoint_paths) if state and state.all_model_checkpoint_paths else None


def _step_of(prefix: str) -> int | None:
    number = prefix.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def remove_unfinished(folder: Path) -> None:
    """Removes what a kill or a full disk left of checkpoints that were being written, and a damaged state file."""
    listed = _listed(folder)
    if listed is None and list_checkpoints(folder):
        (folder / "checkpoint").unlink(missing_ok=True)  # a manager would stumble over it, and writes a new one
        return
    whole = {Path(prefix).name for prefix in listed or ()}
    for path in [*folder.glob("ckpt-*"), *folder.glob("checkpoint.tmp*")]:
        if path.is_dir():  # "ckpt-12_temp", into which TensorFlow writes first
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.partition(".")[0] not in whole:
            path.unlink(missing_ok=True)


def newest_checkpoint(run_dir: Path, *, best: bool = False) -> str:
    """Prefix of a run's newest checkpoint, or of its best one.

    Raises:
      CheckpointError: the run has none.
    """
    folders = [BEST_FOLDER, CHECKPOINT_FOLDER] if best else [CHECKPOINT_FOLDER]
    for folder in folders:
        if prefixes := list_checkpoints(run_dir / folder):
            return prefixes[-1]
    raise CheckpointError(
        f"{run_dir} has no checkpoint yet; train it with `mnasnet train-imagenet` or `train-coco`, --run-dir {run_dir}"
    )


def find_checkpoint(model: str, *, best: bool = False) -> str:
    """The checkpoint prefix that a MODEL argument means: a run directory's newest (or best) one, or a prefix itself.

    A folder of checkpoints means its newest; with `best`, RUN/checkpoints means its run.

    Raises:
      CheckpointError: there is no such checkpoint.
    """
    path = Path(model)
    if path.is_dir():
        prefixes = list_checkpoints(path)
        if not prefixes:
            return newest_checkpoint(path, best=best)
        whole = path.absolute()  # "." has no name
        if best and whole.name == CHECKPOINT_FOLDER:
            return newest_checkpoint(whole.parent, best=True)
        return prefixes[-1]
    prefix = model.removesuffix(".index")
    if Path(f"{prefix}.index").is_file():
        return prefix
    raise CheckpointError(
        f"no model at {model}: expected a run directory, or a checkpoint prefix such as "
        f"runs/imagenet-b1/{CHECKPOINT_FOLDER}/ckpt-1000"
    )
