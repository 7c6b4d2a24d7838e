"""Small sources of both kinds, copies of them that tests may change, and their records."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import coco_cases
import imagenet_cases
import pytest

from data_prep import preparation
from data_prep.shapes import write_shapes_coco, write_shapes_imagenet

run_on_workers = preparation.run_tasks


def run_here(
    function: Callable[..., Any],
    shared: Any,
    tasks: Sequence[Any],
    *,
    processes: int,
    on_result: Callable[[Any], None],
    on_progress: Callable[[int], None],
    on_death: str,
) -> None:
    """`run_tasks` without a process, if one worker is asked for. Everything is pickled as on the way to a worker."""
    if processes > 1:
        run_on_workers(function, shared, tasks, processes=processes, on_result=on_result, on_progress=on_progress,
                       on_death=on_death)  # fmt: skip
        return
    finished = 0
    on_progress(0)
    for task in tasks:
        done = [0]
        result = function(*pickle.loads(pickle.dumps((shared, task))), lambda count, done=done: done.append(count))
        finished += done[-1]
        on_result(pickle.loads(pickle.dumps(result)))
        on_progress(finished)


@pytest.fixture(scope="module", autouse=True)
def _one_worker_is_this_process() -> Iterator[None]:
    """A worker takes a third of a second to start once TensorFlow is loaded; the tests prepare hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "run_tasks", run_here)
        yield


@pytest.fixture(scope="session")
def pristine_imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 classes with 12 training and 4 validation images each; never change it."""
    root = tmp_path_factory.mktemp("imagenet")
    write_shapes_imagenet(root, classes=3, train_per_class=12, val_per_class=4, size=32)
    return root


@pytest.fixture
def imagenet_source(pristine_imagenet: Path, tmp_path: Path) -> Path:
    """A copy of `pristine_imagenet` that a test may change."""
    return Path(shutil.copytree(pristine_imagenet, tmp_path / "source"))


@pytest.fixture(scope="session")
def imagenet_records(pristine_imagenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of `pristine_imagenet`: 4 training shards, 2 validation shards; never change them."""
    out = tmp_path_factory.mktemp("imagenet_records") / "records"
    imagenet_cases.prepare(pristine_imagenet, out)
    return out


@pytest.fixture(scope="session")
def pristine_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 training and 4 validation images with boxes of 3 classes; never change it."""
    root = tmp_path_factory.mktemp("coco")
    write_shapes_coco(root, train=20, val=4, size=48, classes=3)
    return root


@pytest.fixture
def coco_source(pristine_coco: Path, tmp_path: Path) -> Path:
    """A copy of `pristine_coco` that a test may change."""
    return Path(shutil.copytree(pristine_coco, tmp_path / "source"))


@pytest.fixture(scope="session")
def coco_records(pristine_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of `pristine_coco`: 3 training shards, 2 validation shards; never change them."""
    out = tmp_path_factory.mktemp("coco_records") / "records"
    coco_cases.prepare(pristine_coco, out)
    return out
