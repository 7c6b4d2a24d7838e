"""The programs of the page for users of exported files: they find what `mnasnet predict` finds."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_profiles import swapped_profile
from page_programs import write_programs
from PIL import Image

from mnasnet_cli import load
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data.preprocessing import preprocess_bytes
from mnasnet_cli.prediction.images import InputImage, read_images


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Imports a program by its name."""
    folder = tmp_path_factory.mktemp("programs")
    names = {name.removesuffix(".py") for name in write_programs(folder)}
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))
    for name in names:
        sys.modules.pop(name, None)


def test_the_page_has_all_programs(tmp_path: Path) -> None:
    names = ["Net.kt", *(f"{name}.py" for name in (
        "litert", "media_pipe", "onnx_runtime", "open_vino", "reader", "saved_model"
    ))]  # fmt: skip
    assert write_programs(tmp_path) == names
    for path in tmp_path.glob("*.py"):
        compile(path.read_text(), path.name, "exec")


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "tf1-bilinear"])
@pytest.mark.parametrize(("fraction", "stretch"), [(0.875, False), (0.75, True), (None, False)])
def test_a_reader_of_the_manifest_gets_the_nets_input(
    program: Callable[[str], Any], antialias: bool, interpolation: str, fraction: float | None, stretch: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, [91, 70, 3], dtype=np.uint8)
    options = Preprocessing(
        image_size=32, crop_fraction=fraction, antialias=antialias, stretch=stretch, interpolation=interpolation
    )
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    expected = preprocess_bytes(png.getvalue(), options).numpy()
    found = program("reader").net_input(Image.fromarray(pixels), options.to_dict())
    np.testing.assert_allclose(found, expected[np.newaxis], atol=1e-3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that need more than decoding."""
    folder = tmp_path_factory.mktemp("pictures")
    photo = Image.open(Path(__file__).parents[1] / "fixtures/scene.jpg").convert("RGB")
    photo.save(folder / "plain.png")
    photo.save(folder / "profile.png", icc_profile=swapped_profile())
    photo.convert("RGBA").save(folder / "alpha.png")
    transparent = photo.convert("RGBA")
    transparent.putalpha(photo.convert("L"))
    transparent.save(folder / "transparent.png")
    turned = photo.getexif()
    turned[0x0112] = 6
    photo.save(folder / "turned.png", exif=turned)
    photo.convert("L").save(folder / "gray.png")
    return sorted(folder.iterdir())


def test_a_picture_is_read_as_prediction_reads_it(program: Callable[[str], Any], pictures: list[Path]) -> None:
    for image in read_images([str(path) for path in pictures]):
        assert isinstance(image, InputImage)
        found = np.asarray(program("reader").open_picture(image.name), np.int32)
        np.testing.assert_allclose(found, np.asarray(image.open().convert("RGB"), np.int32), atol=1)


@pytest.mark.parametrize("format", ["tflite", "tflite-int8"])
def test_a_small_board_finds_the_classes_of_prediction(
    program: Callable[[str], Any], pictures: list[Path], exported_classifier: Path, format: str
) -> None:
    net, model = program("litert").Net(str(exported_classifier / format)), exported_classifier / format / "model.tflite"
    for path, expected in zip(pictures, load(model).predict(map(str, pictures), top=4), strict=True):
        found = {one["class"]: one["probability"] for one in net.predict(str(path))}
        step = 1e-3 if format == "tflite" else 0.05  # a pixel may be one step of int8 away
        assert found == pytest.approx({one.label: one.probability for one in expected.classes}, abs=step)


def test_a_small_board_finds_the_boxes_of_prediction(
    program: Callable[[str], Any], pictures: list[Path], exported_detector: Path
) -> None:
    net = program("litert").Net(str(exported_detector / "tflite"))
    model = load(exported_detector / "tflite/model.tflite")
    for path, expected in zip(pictures[-3:], model.predict(map(str, pictures[-3:]), score_threshold=0), strict=True):
        found = net.predict(str(path))
        assert [one["class"] for one in found] == [box.label for box in expected.boxes]
        assert [one["name"] for one in found] == [box.name for box in expected.boxes]
        for side in ("xmin", "ymin", "xmax", "ymax"):
            np.testing.assert_allclose(
                [one[side] for one in found], [getattr(b, side) for b in expected.boxes], atol=0.1
            )
