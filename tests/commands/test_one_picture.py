"""A picture is the same to a net in records, in `predict`, and in every signature of an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import picture_cases
import pytest
import tensorflow as tf
from tiny_net import tiny_nets

import mnasnet_cli as mnasnet
from data_prep.imagenet import prepare_imagenet
from data_prep.options import Options
from mnasnet_cli.evaluation.classifier import ClassifierEvaluation
from mnasnet_cli.evaluation.scoring import evaluate_model
from mnasnet_cli.inference.runner import detect_model_format, open_model

TOLERANCE = 1e-3


def write_source(root: Path, labels: list[str], contents: dict[str, bytes]) -> None:
    """All pictures are validation images of the first class; the training images do not matter."""
    for label in labels:
        (root / "train" / label).mkdir(parents=True)
        (root / "train" / label / "any.jpg").write_bytes(contents["photo.jpg"])
    (root / "val" / labels[0]).mkdir(parents=True)
    for name, content in contents.items():
        (root / "val" / labels[0] / name).write_bytes(content)


def check(run: Path, saved_model: Path, size: int | None, tmp_path: Path, picture: tuple[int, int]) -> None:
    image = picture_cases.photograph(*picture)
    contents = dict(picture_cases.files(image))
    model = mnasnet.load(run, image_size=size)
    write_source(tmp_path / "source", list(model.labels), contents)
    records = tmp_path / "records"
    prepare_imagenet(tmp_path / "source", records, Options(workers=1))

    _, scored, evaluation = evaluate_model(ClassifierEvaluation, str(run), records, image_size=size)
    outputs = evaluation.outputs
    named = scored.task.records.eval_records(outputs["positions"].tolist())
    evaluated = {
        named[int(position)][0]: (int(prediction), float(confidence), named[int(position)][1])
        for position, prediction, confidence in zip(
            outputs["positions"], outputs["predictions"], outputs["confidences"], strict=True
        )
    }
    assert set(evaluated) == set(contents)
    runner = open_model(str(run), image_size=size)
    graph = tf.saved_model.load(str(detect_model_format(str(saved_model))[1]))
    for name, content in contents.items():
        label, confidence, record = evaluated[name]
        [predicted] = model.predict(tmp_path / "source" / "val" / model.labels[0] / name, top=1)
        best = predicted.classes[0]
        assert model.labels.index(best.label) == label, name
        assert best.probability == pytest.approx(confidence, abs=TOLERANCE), name
        pixels = picture_cases.upright_pixels(name, image, content)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, 2)
        signatures = {
            "serving_default": tf.constant([content]),
            "images": tf.constant(pixels[np.newaxis]),
            "tensors": tf.constant(runner.preprocess(record)[np.newaxis]),
        }
        for signature, argument in signatures.items():
            probabilities = graph.signatures[signature](argument)["probabilities"].numpy()[0]
            assert int(np.argmax(probabilities)) == label, (name, signature)
            assert probabilities.max() == pytest.approx(confidence, abs=TOLERANCE), (name, signature)


def test_every_way_to_a_net_shows_it_the_same_picture(
    made_classifier: Path, exported_classifier: Path, tmp_path: Path
) -> None:
    with tiny_nets():
        check(made_classifier, exported_classifier / "saved-model", None, tmp_path, (300, 200))


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("picture", [(120, 90), (4000, 3000)])
def test_at_the_sizes_of_real_nets(made_b1: Path, tmp_path: Path, size: int, picture: tuple[int, int]) -> None:
    out = tmp_path / "export"
    mnasnet.load(made_b1, image_size=size).export("saved-model", out, parity_images=2)
    check(made_b1, out / "saved-model", size, tmp_path, picture)
