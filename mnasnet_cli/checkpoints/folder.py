"""A folder of checkpoints: writes each completely or not at all, and keeps the newest ones."""

from __future__ import annotations

import errno
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.checkpoints.files import (
    STATE_FILE,
    files_of,
    list_checkpoints,
    remove_unfinished,
    write_checksums,
)
from mnasnet_cli.system.files import make_folder, move_into_place, temporary_folder, write_atomically
from mnasnet_cli.system.plain_paths import plain_folder

_NO_SPACE = "No space left on device"  # TensorFlow's errors have no errno


class CheckpointFolder:
    """The newest `keep` checkpoints of a net. Unfinished files in the folder are removed.

    It takes the place of `tf.train.CheckpointManager`, which does not flush, and takes paths for patterns.
    """

    def __init__(self, path: Path, keep: int):
        self.path, self._keep = path, keep
        remove_unfinished(path)

    def write(self, checkpoint: tf.train.Checkpoint, step: int) -> str:
        """Write the checkpoint of a step, remove those that are too old, and return the prefix.

        With several processes all of them must call this, each with a folder of its own.

        Raises:
          OSError, tf.errors.OpError: it cannot be written. `remove_unfinished` removes what is left of it.
          EnvironmentProblem: the same, of the folder and of the files that are not TensorFlow's.
        """
        make_folder(self.path)
        name = f"ckpt-{step}"
        before = [Path(prefix).name for prefix in list_checkpoints(self.path)]
        with temporary_folder(self.path) as staged:
            with plain_folder(staged) as plain:
                _write(checkpoint, str(plain / name), step)
            write_checksums(staged / name)
            (self.path / f"{name}.index").unlink(missing_ok=True)  # of the same step: not beside the new data
            for file in files_of(staged / name):
                move_into_place(file, self.path / file.name)
        names = [*(other for other in before if other != name), name]
        kept = names[-self._keep :]
        rows = [f'model_checkpoint_path: "{name}"', *(f'all_model_checkpoint_paths: "{one}"' for one in kept)]
        write_atomically(self.path / STATE_FILE, "".join(f"{row}\n" for row in rows))
        for old in names[: -self._keep]:
            for file in reversed(files_of(self.path / old)):
                file.unlink(missing_ok=True)
        return str(self.path / name)


def _write(checkpoint: tf.train.Checkpoint, prefix: str, step: int) -> None:
    # Checkpoints have always held it. A count of saves would tell a run that was stopped from one that was not.
    checkpoint.save_counter.assign(step)
    try:
        checkpoint.write(prefix)
    except tf.errors.OpError as error:
        if _NO_SPACE in str(error):
            raise OSError(errno.ENOSPC, _NO_SPACE) from error
        raise
