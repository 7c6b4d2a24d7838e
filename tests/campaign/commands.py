"""The command lines of the campaign, and the template folder with their inputs and their undisturbed outcomes."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import child
import outputs
from fault import Command
from tiny_net import DETECTOR_FLAGS, FLAGS

PREPARE = ("--train-shards=3", "--val-shards=2", "--workers=2")
PICTURES = ("pictures/1.jpg", "pictures/2.png", "pictures/3.jpg")
CLASSIFIER = ("model", "data/imagenet")
DETECTOR = ("detector", "data/coco")


def _export(format_name: str, model: str = "model", data: str = "data/imagenet") -> Command:
    return Command(("export", model, f"--format={format_name}", "--out=out/export", f"--data={data}"), (model, data))


COMMANDS = {
    "prepare-imagenet": Command(
        ("prepare-imagenet", "photos", "out/records", *PREPARE), ("photos",), False, ("--resume",)
    ),
    "prepare-coco": Command(("prepare-coco", "scenes", "out/records", *PREPARE), ("scenes",), False, ("--resume",)),
    "train-imagenet": Command(
        ("train-imagenet", *FLAGS, "--epochs=2", "--data=data/imagenet", "--run-dir=out/run"), ("data/imagenet",),
        training=True,
    ),
    "train-coco": Command(
        ("train-coco", *DETECTOR_FLAGS, "--data=data/coco", "--run-dir=out/run"), ("data/coco",), training=True
    ),
    "eval-imagenet": Command(("eval", "model", "--data=data/imagenet", "--plots=out/plots"), CLASSIFIER),
    "eval-coco": Command(
        ("eval", "detector", "--data=data/coco", "--plots=out/plots", "--detections=out/found.json"), DETECTOR
    ),
    "predict-imagenet": Command(
        ("predict", "model", *PICTURES, "--out=out/drawn", "--explain", "--features=out/features.npy"),
        ("model", "pictures"),
    ),
    "predict-coco": Command(("predict", "detector", *PICTURES, "--out=out/drawn"), ("detector", "pictures")),
    "export-saved-model": _export("saved-model"),
    "export-frozen": _export("frozen"),
    "export-tflite": _export("tflite"),
    "export-tflite-fp16": _export("tflite-fp16"),
    "export-tflite-int8": _export("tflite-int8"),
    "export-onnx": _export("onnx"),
    "export-slim-checkpoint": _export("slim-checkpoint"),
    "export-web": _export("web"),
    "export-torchvision": _export("torchvision", "b1"),
    "export-timm": _export("timm", "b1"),
    "export-coco-tflite": _export("tflite", "detector", "data/coco"),
    "import": Command(
        ("import", "weights/b1.safetensors", "out/imported", "--variant=b1", "--width=0.5",
         "--labels=weights/labels.txt"), ("weights",), refusal="exists already",
    ),
    "report": Command(
        ("report", "found.json", "truth.json", "--plots=out/plots", "--markdown=out/report.md"),
        ("found.json", "truth.json"), False,
    ),
    "benchmark": Command(
        ("benchmark", "artifact/tflite", "--runs=2", "--rounds=1", "--out=out/latency"), ("artifact",)
    ),
    "benchmark-android": Command(("benchmark", "artifact/tflite", "--android=out/phone"), ("artifact",)),
    "card": Command(("card", "model", "--out=out/card.html"), ("model",), False),
    "runs-html": Command(
        ("runs", "model", "--format=html", "--out=out/runs.html"), ("model",), False
    ),
    "runs-csv": Command(
        ("runs", "model", "--format=csv", "--out=out/runs.csv"), ("model",), False
    ),
    "inspect-imagenet": Command(
        ("inspect", "data/imagenet", "--html=out/health.html", "--images=4", "--out=out/images.png"),
        ("data/imagenet",), False,
    ),
    "inspect-coco": Command(
        ("inspect", "data/coco", "--html=out/health.html", "--images=4", "--out=out/images.png"), ("data/coco",), False
    ),
}  # fmt: skip

QUICK = ("train-imagenet", "predict-imagenet", "export-tflite")  # what a quick campaign tries of those with TensorFlow
TRAININGS = ("train-imagenet", "train-coco")


def words_of(command: Command, *, again: bool = False) -> list[str]:
    """Return the command line, or that of its next call."""
    return [*command.words, *(command.again if again else ())]


def lay_out(template: Path, place: Path, command: Command) -> None:
    """Fill a new folder with the inputs of a command."""
    (place / "out").mkdir(parents=True)
    for name in command.inputs:
        lay_out_one(template, place, name)


def lay_out_one(template: Path, place: Path, name: str) -> None:
    """Copy an input, or put back a part of one."""
    source, target = template / name, place / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def make_inputs(template: Path) -> None:
    """Write the small sources; the records, runs and artifacts come from the program itself."""
    from PIL import Image

    from data_prep.shapes import write_shapes_coco, write_shapes_imagenet

    write_shapes_imagenet(template / "photos", classes=4, train_per_class=10, val_per_class=3, size=40)
    write_shapes_coco(template / "scenes", classes=3, train=10, val=5, size=80)
    (template / "pictures").mkdir()
    rng = random.Random(1)
    for name in ("1.jpg", "2.png", "3.jpg"):
        pixels = bytes(rng.randrange(256) for _ in range(16 * 12 * 3))
        Image.frombytes("RGB", (16, 12), pixels).resize((96, 72)).save(template / "pictures" / name)


def _call(template: Path, *words: str) -> None:
    outcome = child.run(list(words), template, warm=True)
    if outcome.code != 0:
        raise SystemExit(
            f"the campaign's inputs: `mnasnet {' '.join(words)}` ended with {outcome.code}:\n{outcome.err}"
        )


def _begin_preparation(template: Path) -> None:
    """Leave records as a killed preparation does: with a journal, and without some of the shards."""
    place = template / "killed"
    lay_out(template, place, COMMANDS["prepare-imagenet"])
    child.run(list(COMMANDS["prepare-imagenet"].words), place, warm=False, injection={"action": "die", "at": 24})
    (place / "out/records").rename(template / "unfinished")
    (template / "unfinished/train-00001-of-00003").unlink()
    shutil.rmtree(place)


def tried(quick: bool) -> list[str]:
    """Return the names of the commands that a campaign tries."""
    return [name for name, command in COMMANDS.items() if not quick or not command.warm or name in QUICK]


def _write_detections(template: Path) -> None:
    """Write detections that are the true boxes, each with another score."""
    shutil.copy2(template / "scenes/annotations/instances_val2017.json", template / "truth.json")
    boxes = json.loads((template / "truth.json").read_text())["annotations"]
    found = [{key: box[key] for key in ("image_id", "category_id", "bbox")} for box in boxes]
    found = [box | {"score": 1 / (2 + number)} for number, box in enumerate(found)]
    (template / "found.json").write_text(json.dumps(found))


def make_models(template: Path, quick: bool) -> None:
    """Train the two models, and export and import what other commands read."""
    _call(template, "prepare-imagenet", "photos", "data/imagenet", *PREPARE)
    _call(template, "prepare-coco", "scenes", "data/coco", *PREPARE)
    _call(template, *COMMANDS["train-imagenet"].words[:-1], "--run-dir=model")
    _write_detections(template)
    _begin_preparation(template)
    _call(template, "export", "model", "--format=tflite", "--out=artifact", "--data=data/imagenet")
    if quick:
        return
    _call(template, *COMMANDS["train-coco"].words[:-1], "--run-dir=detector")
    for name in ("saved-model", "onnx", "frozen"):
        _call(template, "export", "model", f"--format={name}", "--out=artifact", "--data=data/imagenet")
    child.call_in_fork(_make_b1, template)
    _call(template, "export", "b1", "--format=timm", "--out=b1-timm", "--data=data/imagenet")
    (template / "weights").mkdir()
    shutil.copy2(next((template / "b1-timm").rglob("*.safetensors")), template / "weights/b1.safetensors")
    (template / "weights/labels.txt").write_text("a\nb\n")


def _make_b1(template: Path) -> None:
    from made_models import make_checkpoint

    from mnasnet_cli.config.loading import load_config

    settings = ["model.variant=b1", "model.width=0.5", "data.image_size=32", "data.crop_fraction=0.75"]
    settings += ["model.net.padding=symmetric", "model.net.batch_norm_epsilon=1e-5"]  # as torchvision has them
    make_checkpoint(template / "b1", load_config("quick", assignments=settings), ["a", "b"])


def measure(template: Path, name: str) -> dict[str, Any]:
    """Run a command undisturbed, twice, and return what it writes, how long it takes, and its moments."""
    command = COMMANDS[name]
    found: list[dict[str, str]] = []
    for _ in range(2):
        place = template.parent / "reference" / name
        shutil.rmtree(place, ignore_errors=True)
        lay_out(template, place, command)
        outcome = child.run(words_of(command), place, warm=command.warm, injection={"record": str(place / "moments")})
        if outcome.code != 0:
            return {"skipped": (outcome.err.strip().splitlines() or ["no message"])[-1][:200]}
        found.append(outputs.digests(place / "out"))
        moments = (place / "moments").read_text().splitlines() if (place / "moments").exists() else []
    weights = child.call_in_fork(outputs.weights_digest, place / "out/run") if command.training else ""
    same = {path: digest for path, digest in found[0].items() if found[1].get(path) == digest}
    same.pop("run/checkpoints/checkpoint", None)  # a list: that of a run that was stopped names the stop's, too
    return {
        "files": sorted(path for path in found[1] if not outputs.is_remade(path)),
        "same": same,
        "cpu": outcome.cpu,
        "seconds": outcome.seconds,
        "bytes": sum(path.stat().st_size for path in (place / "out").rglob("*") if path.is_file()),
        "moments": moments,
        "weights": weights,
    }


def read_reference(template: Path) -> dict[str, dict[str, Any]]:
    """Return the undisturbed outcomes by command."""
    return json.loads((template / "reference.json").read_text())  # type: ignore[no-any-return]
