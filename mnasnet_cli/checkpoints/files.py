"""The files of checkpoints: which are complete, which one a MODEL argument means, and which are unfinished."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from mnasnet_cli.errors import CheckpointError, missing_model
from mnasnet_cli.system.files import sha256_of, write_atomically
from mnasnet_cli.system.shell import words

CHECKPOINT_FOLDER = "checkpoints"
BEST_FOLDER = "best"
STATE_FILE = "checkpoint"  # in the text format of TensorFlow's CheckpointState
CHECKSUMS = ".sha256"  # the suffix of the file of checksums, which `sha256sum --check` reads
_LISTED = re.compile(r'^all_model_checkpoint_paths: "([^"\n]+)"$', re.MULTILINE)


def list_checkpoints(folder: Path) -> list[str]:
    """Return the prefixes of the complete checkpoints in a folder, oldest first.

    These are the checkpoints in TensorFlow's state file; if that is missing or damaged, all checkpoints in the folder.
    """
    names = _read_state_file(folder)
    if names is None:
        found = (re.fullmatch(r"ckpt-(\d+)", path.stem) for path in folder.glob("ckpt-*.index"))
        names = [match[0] for match in sorted(filter(None, found), key=lambda match: int(match[1]))]
    return [str(folder / name) for name in names if (folder / f"{name}.index").is_file()]


def _read_state_file(folder: Path) -> list[str] | None:
    try:
        text = (folder / STATE_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return [Path(path).name for path in _LISTED.findall(text)] or None


def files_of(prefix: Path) -> list[Path]:
    """Return the files of a checkpoint. The index comes last: a checkpoint is complete once it is there."""
    found = [file for file in prefix.parent.iterdir() if file.name.startswith(f"{prefix.name}.")]
    return sorted(found, key=lambda file: (file.suffix == ".index", file.name))


def write_checksums(prefix: Path) -> None:
    """Write the SHA-256 of each file of a checkpoint beside it."""
    rows = [f"{sha256_of(file)}  {file.name}\n" for file in files_of(prefix)]
    write_atomically(prefix.with_name(f"{prefix.name}{CHECKSUMS}"), "".join(rows))


def remove_unfinished(folder: Path) -> None:
    """Remove the files of checkpoints whose writing was interrupted, and a damaged state file."""
    listed = _read_state_file(folder)
    if listed is None and list_checkpoints(folder):
        (folder / STATE_FILE).unlink(missing_ok=True)
        return
    for path in [*folder.glob("ckpt-*"), *folder.glob("checkpoint.tmp*")]:
        if path.is_dir():  # "ckpt-12_temp": earlier versions let TensorFlow write there
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.partition(".")[0] not in (listed or ()):
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
    place = words("--run-dir", run_dir)
    raise CheckpointError(
        f"{run_dir} has no checkpoint yet; train it with `mnasnet train-imagenet` or `train-coco`, `{place}`"
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
