"""Fixtures for all tests: the command line, small record folders, a trained run, and a disk that is easy to fill.

Folders that take long to make come from `shared_folder`: one folder for the whole test run, also in several processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

prepare_tensorflow()
os.environ.pop("COLUMNS", None)  # pytest-xdist may set it, and tables would fold

os.fsync = lambda descriptor: None  # no test pulls the plug, and each flush takes milliseconds

pytest_plugins = ["model_fixtures"]

REPO = Path(__file__).parent.parent


# The files that take longest, and folders of files that take a second: no process of pytest-xdist shall work for long
# when the others are done.
FIRST = (
    "export/test_exporter.py", "training/test_resume.py", "training/distillation/test_teacher.py",
    "training/test_failures.py", "data/test_coco.py", "commands/test_train_only.py", "commands/test_card.py",
)  # fmt: skip
LAST = ("config", "data_prep", "health", "pages", "records", "runs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts long files first and short ones last; with `--no-loadscope-reorder`, pytest-xdist keeps the order."""
    tests = REPO / "tests"
    places = {tests / name: place for place, name in enumerate(FIRST)}

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return places.get(item.path, len(places) + (folder in LAST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Spares the garbage collector what stays to the end: modules and tests. Tracing a net makes it look often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 10)


class Outcome(NamedTuple):
    """The exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Standard error without the lines that say what the command does now, such as "building the net …"."""
        return [line for line in self.err.splitlines() if not line.endswith(" …")]


@pytest.fixture(scope="session")
def mnasnet() -> Callable[..., Outcome]:
    """Run `mnasnet ARGS…` in this process, with the exit codes and messages that a user gets."""
    from mnasnet_cli.app import app

    def run(*args: object) -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(autouse=True)
def _no_drawn_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of tests write their curves without drawing them, which is a sixth of the time of a tiny training.

    Those of shared runs, such as `trained_run`, are drawn: their fixtures come before this one.
    """
    from mnasnet_cli.metrics import plots
    from mnasnet_cli.system.files import write_atomically

    def write_curves(lines: object, metric: str, path: Path) -> None:
        write_atomically(path, b"curves")

    monkeypatch.setattr(plots, "plot_curves", write_curves)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that returns a folder of the test run by its name. `fill(folder)` runs once, in the first process
    that asks; the other processes of pytest-xdist wait for it. Tests only read the folder, or copy it.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = root / name, root / f"{name}.filled"
        root.mkdir(exist_ok=True)
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a process that failed has left
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def make_shape_records(shared_folder: Callable[..., Path]) -> Callable[..., Path]:
    """A function that returns records of generated shapes: 4 classes, the training images in 4 shards."""
    from data_prep.imagenet import prepare_imagenet
    from data_prep.options import Options
    from data_prep.shapes import write_shapes_imagenet

    def make(name: str, *, train_per_class: int, val_per_class: int, val_shards: int, size: int) -> Path:
        def fill(root: Path) -> None:
            counts = {"train_per_class": train_per_class, "val_per_class": val_per_class}
            write_shapes_imagenet(root / "images", classes=4, **counts, size=size)
            options = Options(train_shards=4, val_shards=val_shards, workers=1)
            prepare_imagenet(root / "images", root / "records", options)

        return shared_folder(name, fill) / "records"

    return make


@pytest.fixture(scope="session")
def shape_records(make_shape_records: Callable[..., Path]) -> Path:
    """Records of generated shapes: 4 classes, 96 training images in 4 shards, 20 validation images in 2, 40 px."""
    return make_shape_records("shapes", train_per_class=24, val_per_class=5, val_shards=2, size=40)


@pytest.fixture
def tiny_net() -> Iterator[None]:
    """Add the tiny variants, and make pyramids smaller; see tiny_net.py."""
    from tiny_net import tiny_nets

    with tiny_nets():
        yield


@pytest.fixture(scope="session")
def trained_run(shape_records: Path, shared_folder: Callable[..., Path]) -> Path:
    """A run of the tiny net over 3 epochs, with evaluation and averaged weights; never change it."""
    from tiny_net import FLAGS, train_tiny

    command = ["train-imagenet", *FLAGS, f"--data={shape_records}"]
    return shared_folder("trained_run", lambda run: train_tiny(*command, f"--run-dir={run}"))


@pytest.fixture(scope="session")
def scene_records(shared_folder: Callable[..., Path]) -> Path:
    """Records of generated scenes: 3 classes, 12 training images in 2 shards, 6 validation images in one, 80 px."""
    from data_prep.coco import prepare_coco
    from data_prep.options import CocoOptions
    from data_prep.shapes import write_shapes_coco

    def fill(root: Path) -> None:
        write_shapes_coco(root / "images", classes=3, train=12, val=6, size=80)
        prepare_coco(root / "images", root / "records", CocoOptions(train_shards=2, val_shards=1, workers=1))

    return shared_folder("scenes", fill) / "records"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MB, which holds a tiny run; the test is skipped if mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no permission to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=False)


@pytest.fixture
def fill(small_disk: Path) -> Callable[[], Path]:
    """A function that fills the disk with one file and returns its path."""

    def fill_disk() -> Path:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        return filler

    return fill_disk
