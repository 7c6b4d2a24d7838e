"""A file gives the same probabilities on every way: `eval`, `predict`, and the signatures of a SavedModel."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from image_files import encode, noise, with_orientation
from made_models import classifier_config, make_checkpoint
from PIL import Image

from mnasnet_cli.data.preprocessing import preprocess_uint8
from mnasnet_cli.evaluation.classifier import ClassifierEvaluation
from mnasnet_cli.evaluation.scoring import evaluate_model
from mnasnet_cli.export.saved_model import write_saved_model
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.records.plain_image import read_picture

LABELS = ["a", "b", "c"]
SMALL = noise(9, 7).resize((270, 210), Image.Resampling.BICUBIC)
TRANSPARENT = SMALL.convert("RGBA")
TRANSPARENT.putalpha(SMALL.getchannel(0))
GRAY = np.asarray(SMALL.getchannel(1)).astype(np.uint16)
JPEG = encode(SMALL, "JPEG", quality=90)
FILES = {
    **{f"turned-{n}.jpg": encode(SMALL, "JPEG", quality=90, exif=with_orientation(n)) for n in range(1, 9)},
    "turned.png": encode(SMALL, "PNG", exif=with_orientation(6)),
    "pixels-of-turned-1.png": encode(Image.open(io.BytesIO(JPEG)), "PNG"),
    "transparent.png": encode(TRANSPARENT, "PNG"),
    "palette.png": encode(SMALL.quantize(8), "PNG", transparency=3),
    "gray.jpg": encode(SMALL.convert("L"), "JPEG"),
    "gray-and-transparent.png": encode(TRANSPARENT.convert("LA"), "PNG"),
    "cmyk.jpg": encode(SMALL.convert("CMYK"), "JPEG", quality=95),
    "16-bits.png": encode(Image.fromarray(GRAY * 257), "PNG"),
    "12-bits-in-16.png": encode(Image.fromarray(GRAY * 16), "PNG"),
    "12-megapixels.jpg": encode(SMALL.resize((4000, 3000)), "JPEG", quality=90, exif=with_orientation(8)),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of FILES as validation images, and the files in files/val/a."""
    from data_prep.imagenet import prepare_imagenet

    root = tmp_path_factory.mktemp("one-picture")
    for label in LABELS:
        (root / "files" / "train" / label).mkdir(parents=True)
        (root / "files" / "train" / label / "some.jpg").write_bytes(encode(noise(seed=ord(label)), "JPEG"))
    (root / "files" / "val" / "a").mkdir(parents=True)
    for name, data in FILES.items():
        (root / "files" / "val" / "a" / name).write_bytes(data)
    prepare_imagenet(root / "files", root / "records")
    return root


@pytest.fixture(scope="module", params=[64, 224])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a classifier of LABELS that no one trained, and its SavedModel in saved-model/."""
    run = tmp_path_factory.mktemp(f"model-{request.param}")
    prefix = make_checkpoint(run, classifier_config(image_size=request.param), LABELS)
    write_saved_model(load_model(prefix), run / "saved-model")
    return run


def predict(mnasnet: Callable[..., Any], model: Path, folder: Path) -> dict[str, np.ndarray]:
    """The probabilities of LABELS for each file of a folder."""
    outcome = mnasnet("predict", model, folder, "--json")
    assert outcome.code == 0, outcome.err
    found = {}
    for image in outcome.json["images"]:
        by_class = {row["class"]: row["probability"] for row in image["predictions"]}
        found[Path(image["file"]).name] = np.array([by_class[label] for label in LABELS])
    assert found.keys() == FILES.keys()
    return found


def test_every_way_gives_the_same_probabilities(mnasnet: Callable[..., Any], records: Path, model: Path) -> None:
    folder = records / "files" / "val" / "a"
    expected = predict(mnasnet, model, folder)
    # The untrained net tells these pictures apart, so it would show if one was not turned or not on white.
    different = [expected[name] for name in ("turned-1.jpg", "turned-6.jpg", "transparent.png", "gray.jpg")]
    assert min(np.abs(one - other).max() for one, other in itertools.combinations(different, 2)) > 3e-3

    _, scored, evaluation = evaluate_model(ClassifierEvaluation, str(model), records / "records")
    outputs = evaluation.outputs
    positions = outputs["positions"].tolist()
    names = {place: name for place, (name, _) in scored.task.records.eval_records(positions).items()}
    assert set(names.values()) == FILES.keys()
    for place, label, confidence in zip(positions, outputs["predictions"], outputs["confidences"], strict=True):
        assert label == expected[names[place]].argmax(), names[place]
        assert confidence == pytest.approx(expected[names[place]].max(), abs=1e-3), names[place]

    run = tf.saved_model.load(str(model / "saved-model" / "1")).signatures
    for name, data in FILES.items():
        pixels = tf.constant(np.asarray(read_picture(data).image.convert("RGB"))[np.newaxis])
        for found in (
            run["serving_default"](image_bytes=tf.constant([data])),
            run["images"](images=pixels),
            run["tensors"](images=preprocess_uint8(pixels, scored.task.preprocessing)),
        ):
            np.testing.assert_allclose(found["probabilities"][0], expected[name], atol=1e-3, err_msg=name)
