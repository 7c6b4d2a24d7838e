"""Models in every format, made once for all tests, and the file of a net: a plugin of pytest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_net import tiny_nets

from mnasnet_cli.inference.manifest import FORMATS


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    """The file of the net in `own_net`; the test may change it."""
    from own_net import TABLE

    path = tmp_path / "net.yaml"
    path.write_text(TABLE)
    return path


@pytest.fixture(scope="session")
def made_classifier(shared_folder: Callable[..., Path]) -> Path:
    """A run directory with a classifier of 4 classes that no one trained, 32 px."""
    from made_models import classifier_config, make_checkpoint

    def fill(run: Path) -> None:
        with tiny_nets():
            make_checkpoint(run, classifier_config(), ["a", "b", "c", "d"], ["ant", "bee", "cat", "dog"])

    return shared_folder("made_classifier", fill)


@pytest.fixture(scope="session")
def made_b1(shared_folder: Callable[..., Path]) -> Path:
    """A run directory with a classifier of 2 classes that no one trained: b1 at width 0.5, which timm has, 32 px."""
    from made_models import make_checkpoint

    from mnasnet_cli.config.loading import load_config

    settings = ["model.variant=b1", "model.width=0.5", "data.image_size=32", "data.crop_fraction=0.75"]
    config = load_config("quick", assignments=settings)
    return shared_folder("made_b1", lambda run: make_checkpoint(run, config, ["a", "b"]))


@pytest.fixture(scope="session")
def made_detector(shared_folder: Callable[..., Path]) -> Path:
    """A run directory with a detector of 3 categories that no one trained, 64 px; it finds boxes all the same."""
    from made_models import CATEGORIES, detector_config, make_checkpoint

    def fill(run: Path) -> None:
        with tiny_nets():
            make_checkpoint(run, detector_config(), list(map(str, CATEGORIES)), list(CATEGORIES.values()))

    return shared_folder("made_detector", fill)


@pytest.fixture(scope="session")
def exported_classifier(made_classifier: Path, shape_records: Path, shared_folder: Callable[..., Path]) -> Path:
    """A folder with `made_classifier` in every format."""
    return shared_folder("exported_classifier", lambda out: _export(made_classifier, shape_records, out))


@pytest.fixture(scope="session")
def exported_detector(made_detector: Path, scene_records: Path, shared_folder: Callable[..., Path]) -> Path:
    """A folder with `made_detector` in every format."""
    return shared_folder("exported_detector", lambda out: _export(made_detector, scene_records, out))


def _export(run: Path, records: Path, out: Path) -> None:
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.export.exporter import export_model, raise_for_faults

    with tiny_nets():
        outcomes = export_model(
            find_checkpoint(str(run)), out, FORMATS, data=records, parity_images=4, calibration_images=12
        )
    raise_for_faults(outcomes)
