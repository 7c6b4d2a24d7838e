"""`mnasnet.load` and what a model does."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from image_files import encode, noise, with_orientation
from made_models import CATEGORIES
from PIL import Image

import mnasnet_cli as mnasnet
from mnasnet_cli.errors import CheckpointError, ConfigError, DataError
from mnasnet_cli.prediction.images import UnreadableInput

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture(scope="module")
def model(made_classifier: Path) -> mnasnet.Model:
    from tiny_net import tiny_nets

    with tiny_nets():
        return mnasnet.load(made_classifier)


def test_what_a_model_says_of_itself(model: mnasnet.Model, made_classifier: Path, exported_classifier: Path) -> None:
    assert (model.task, model.kind, model.format, model.image_size) == (
        "classification",
        "classifier",
        "checkpoint",
        32,
    )
    assert (model.labels, model.names) == (("a", "b", "c", "d"), ("ant", "bee", "cat", "dog"))
    assert (model.info["what"], model.info["step"]) == ("checkpoint", 7)
    assert repr(model) == f"<Model {made_classifier}: tiny classifier of 4 classes, 32 px, checkpoint>"
    exported = mnasnet.load(exported_classifier / "tflite")
    assert (exported.info["format"], exported.image_size) == ("tflite", 32)


def test_info_of_a_run_is_that_of_inspect(mnasnet_command, trained_run: Path) -> None:
    told = mnasnet_command("inspect", trained_run, "--json").json
    assert mnasnet.load(trained_run).info == told


def test_all_kinds_of_images_give_the_same(model: mnasnet.Model, tmp_path: Path) -> None:
    image = noise()
    path = tmp_path / "a.png"
    image.save(path)
    kinds = [path, str(path), path.read_bytes(), image, np.asarray(image), Image.open(path)]
    wanted, *others = model.predict(kinds)
    assert wanted.file == str(path)
    assert [one.file for one in others] == [str(path), "images[2]", "images[3]", "images[4]", str(path)]
    for found in [*others, *(model.predict(kind)[0] for kind in kinds), *model.predict(np.asarray(image)[np.newaxis])]:
        assert (found.width, found.height, found.label) == (90, 60, wanted.label)
        assert found.probability == pytest.approx(wanted.probability, abs=1e-6)
        assert found.score == found.probability
    assert [one.file for one in model.predict(tmp_path)] == [str(path)]
    assert [one.file for one in model.predict(str(tmp_path / "*.png"))] == [str(path)]


def test_a_pillow_image_is_turned_upright(model: mnasnet.Model) -> None:
    data = encode(noise(), "JPEG", exif=with_orientation(6))
    [from_bytes], [from_pillow] = model.predict(data), model.predict(Image.open(io.BytesIO(data)))
    assert (from_pillow.width, from_pillow.height) == (from_bytes.width, from_bytes.height) == (60, 90)
    assert from_pillow.probability == pytest.approx(from_bytes.probability, abs=1e-2)
    transparent = noise().convert("RGBA")
    transparent.putalpha(0)
    white = Image.new("RGB", transparent.size, "white")
    assert model.predict(transparent)[0].probability == pytest.approx(model.predict(white)[0].probability)


def test_a_prediction_is_the_row_of_the_command(mnasnet_command, model: mnasnet.Model, tmp_path: Path) -> None:
    noise().save(tmp_path / "a.png")
    [row] = mnasnet_command("predict", model.path, tmp_path / "a.png", "--json", "--top=2").json["images"]
    [found] = model.predict(tmp_path / "a.png", top=2)
    assert found.to_dict() == row
    assert (len(found.classes), found.boxes) == (2, ())
    drawing = found.draw()
    assert drawing.width == 240
    assert drawing.height > 60


def test_what_is_no_image_is_an_error(model: mnasnet.Model, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(encode(noise(), "JPEG")[:300])
    with pytest.raises(DataError, match=r"cut\.jpg: "):
        model.predict([noise(), tmp_path / "cut.jpg"])
    good, bad = model.stream([noise(), tmp_path / "cut.jpg"])
    assert isinstance(good, mnasnet.Prediction)
    assert isinstance(bad, UnreadableInput)
    assert bad.name == str(tmp_path / "cut.jpg")
    with pytest.raises(DataError, match="images\\[1\\] is a NumPy array, float32 \\[8, 8, 3\\]; expected a path"):
        model.predict([noise(), np.zeros((8, 8, 3), np.float32)])
    with pytest.raises(DataError, match="image is a int; expected a path"):
        model.predict(7)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such file"):
        model.predict("nowhere.jpg")
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        model.predict(noise(), batch_size=0)
    assert model.predict([]) == []


def test_a_detectors_boxes(made_detector: Path) -> None:
    [found] = mnasnet.load(made_detector).predict(noise(), score_threshold=0.1)
    best = found.boxes[0]
    assert found.classes == ()
    assert (found.label, found.name, found.score) == (best.label, CATEGORIES[best.label], best.score)
    assert 0 <= best.xmin <= best.xmax <= 90
    assert found.draw().size == (180, 120)
    assert found.probability is None


def test_features_give_the_logits(model: mnasnet.Model) -> None:
    images = [noise(seed=seed) for seed in range(3)]
    features = model.features(images, batch_size=2)
    assert (features.shape, features.dtype) == ((3, 64), np.float32)
    for image, row in zip(images, features, strict=True):
        explanation = model.explain(image)
        assert explanation.contributions.mean() == pytest.approx(explanation.logit - explanation.bias, abs=1e-5)
        np.testing.assert_allclose(model.features(image)[0], row, atol=1e-6)
    assert model.features([]).shape == (0, 64)


def test_an_explanation_is_exact(model: mnasnet.Model) -> None:
    """The softmax of the logits that the maps add up to are the probabilities of the prediction."""
    [prediction] = model.predict(noise(), top=4)
    logits = {}
    for one in prediction.classes:
        explanation = model.explain(noise(), label=one.label)
        assert explanation.explained.label == one.label
        logits[one.label] = float(explanation.contributions.mean()) + explanation.bias
    values = np.exp([logits[one.label] for one in prediction.classes])
    np.testing.assert_allclose(values / values.sum(), [one.probability for one in prediction.classes], atol=1e-5)
    first = model.explain(noise())
    assert first.explained.label == prediction.label
    assert first.explained.probability == pytest.approx(prediction.probability, abs=1e-5)
    assert model.explain(noise(), label="bee").explained.label == "b"
    assert model.explain(prediction).explained == first.explained


def test_an_explanation_covers_what_the_net_sees(model: mnasnet.Model) -> None:
    explanation = model.explain(noise())
    left, top, right, bottom = explanation.window
    side = round(0.875 * 60)
    assert (right - left, bottom - top) == (side, side)
    assert (left, top) == ((90 - side) // 2, (60 - side) // 2)
    drawing = np.asarray(explanation.draw()).astype(int)
    photo = drawing[:120, 30:210]  # twice as large, centred above the strip, which is 240 px wide
    assert np.ptp(photo[:, : 2 * left - 2], axis=-1).max() < 20  # gray
    assert np.ptp(photo[2 * top : 2 * bottom, 2 * left : 2 * right], axis=-1).max() > 20  # the strongest has a colour


def test_features_and_explanations_need_a_classifiers_checkpoint(
    model: mnasnet.Model, made_detector: Path, exported_classifier: Path
) -> None:
    for path, reason in ((made_detector, "is a detector"), (exported_classifier / "tflite", "a tflite artifact")):
        other = mnasnet.load(path)
        with pytest.raises(CheckpointError, match=reason):
            other.features(noise())
        with pytest.raises(CheckpointError, match=reason):
            other.explain(noise())
    with pytest.raises(DataError, match="no class 'beee'; did you mean 'bee'"):
        model.explain(noise(), label="beee")


def test_evaluation_is_that_of_the_command(mnasnet_command, trained_run: Path, shape_records: Path) -> None:
    told = mnasnet_command("eval", "--imagenet-val", trained_run, f"--data={shape_records}", "--json").json
    model = mnasnet.load(trained_run)
    assert model.evaluate(shape_records) == told
    assert model.evaluate(shape_records, "train")["examples"] == 96
    with pytest.raises(ConfigError, match="no split 'val': there are train, validation, test"):
        model.evaluate(shape_records, "val")
    with pytest.raises(ConfigError, match="detections are boxes"):
        model.evaluate(shape_records, detections="found.json")


def test_export(model: mnasnet.Model, exported_classifier: Path, tmp_path: Path) -> None:
    [result] = model.export("frozen", tmp_path, parity_images=2)
    assert (result.format, result.path.parent) == ("frozen", tmp_path / "frozen")
    assert mnasnet.load(result.path).predict(noise())[0].label == model.predict(noise())[0].label
    with pytest.raises(ConfigError, match=r"no format 'tflit' .*did you mean 'tflite'"):
        model.export(["tflit"], tmp_path)
    with pytest.raises(CheckpointError, match="is an export"):
        mnasnet.load(exported_classifier / "tflite").export("frozen", tmp_path)


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(mnasnet.MnasnetError):
        mnasnet.load(tmp_path / "nowhere")
