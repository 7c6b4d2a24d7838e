"""`mnasnet demo`: every step on generated images."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag
from mnasnet_cli.errors import CheckFailed, CheckpointError, DataError
from mnasnet_cli.system.files import make_folder, write_atomically
from mnasnet_cli.system.shell import command

# The images are shapes on noisy backgrounds. With these numbers the demo takes two to three minutes on two cores.
CLASSES, TRAIN_PER_CLASS, VAL_PER_CLASS, PIXELS = 6, 200, 40, 96
TRAIN_SCENES, VAL_SCENES, SCENE_PIXELS = 320, 60, 160
CONFIG = "demo"  # the name of two recipes, one per task
# Enough to verify that an artifact is the same model, in little time.
PARITY_IMAGES, CALIBRATION_IMAGES = 8, 48
INT8 = "tflite-int8"
# The subfolders of a demo, which a new demo replaces.
SUBFOLDERS = ("images", "records", "run", "scenes", "scene-records", "detector")
MARK = "demo.json"


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all files of the demo.")] = Path(
        "runs/demo"
    ),
    json_output: JsonFlag = False,
) -> None:
    """Run every step on generated images in a few minutes: records, both trainings, evaluation, export."""
    began = time.monotonic()
    _clear(out)
    images, records, run, scenes, scene_records, detector = (out / name for name in SUBFOLDERS)
    steps: list[tuple[str, str, float]] = []

    def step(name: str, command: str, work: Callable[[], Any], describe: Callable[[Any], str]) -> Any:
        console.say(f"{name}: {command}")
        started = time.monotonic()
        result = work()
        steps.append((name, describe(result), round(time.monotonic() - started, 1)))
        return result

    step("images", f"drawing {CLASSES} classes of shapes into {images}", lambda: _draw(images), _count_images)
    step("records", command("prepare-imagenet", images, records, "--train-shards", 4, "--val-shards", 2),
         lambda: _prepare(images, records), _count_records)  # fmt: skip
    step("training", command("train-imagenet", "--config", CONFIG, "--data", records, "--run-dir", run),
         lambda: _train(records, run), _training_result)  # fmt: skip
    scores = step("evaluation", command("eval", "--imagenet-val", run, "--data", records),
                  lambda: _evaluate(records, run), _accuracy)  # fmt: skip
    step("scenes", f"drawing scenes of shapes into {scenes}", lambda: _draw_scenes(scenes), _count_scenes)
    step("scene records", command("prepare-coco", scenes, scene_records, "--train-shards", 4, "--val-shards", 2),
         lambda: _prepare_scenes(scenes, scene_records), _count_records)  # fmt: skip
    words = ("--config", CONFIG, "--backbone", run, "--data", scene_records, "--run-dir", detector)
    step("detector", command("train-coco", *words),
         lambda: _train_detector(scene_records, detector, run), _training_result)  # fmt: skip
    found = step("detector evaluation", command("eval", "--coco-val", detector, "--data", scene_records),
                 lambda: _evaluate_detector(scene_records, detector), _precision)  # fmt: skip
    formats, skipped = available_formats()
    artifacts: list[Any] = []
    for model, data in ((run, records), (detector, scene_records)):
        flags = [word for one in formats for word in ("--format", one)]
        artifacts += step("export", command("export", model, "--data", data, *flags),
                          functools.partial(_export, model, data, formats), _count_artifacts)  # fmt: skip
    seconds = round(time.monotonic() - began, 1)
    if json_output:
        kept = {key: scores[key] for key in ("top1", "top5", "loss", "examples")}
        kept |= {key: found[key] for key in ("AP", "AP50", "AP75")}
        kept["artifacts"] = [
            {"path": str(one.path), "format": one.format, **one.comparison.as_dict()} for one in artifacts
        ]
        console.emit_json({"out": str(out), "seconds": seconds, **kept})
        return
    _show_artifacts(artifacts, skipped)
    console.print_table(
        f"Demo in {out}: {console.duration(seconds)}", ("step", "result", "seconds"), steps,
        caption="This shows that everything works on this machine. The accuracy says nothing about photographs.",
    )  # fmt: skip


def _clear(out: Path) -> None:
    """Create the folder, or empty the one of an earlier demo. Any other folder with files is an error."""
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise DataError(f"{out} holds other files; choose another folder with --out")
    for name in SUBFOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    make_folder(out)
    write_atomically(out / MARK, "{}\n")


def _draw(images: Path) -> Path:
    from data_prep.shapes import write_shapes_imagenet

    write_shapes_imagenet(
        images, classes=CLASSES, train_per_class=TRAIN_PER_CLASS, val_per_class=VAL_PER_CLASS, size=PIXELS
    )
    return images


def _count_images(images: Path) -> str:
    count = sum(1 for _ in images.glob("*/*/*.JPEG"))
    return f"{count:,} images of {PIXELS} px in {CLASSES} classes"


def _prepare(images: Path, records: Path) -> dict[str, Any]:
    from data_prep.imagenet import prepare_imagenet
    from data_prep.options import Options

    return prepare_imagenet(images, records, Options(train_shards=4, val_shards=2))


def _count_records(result: dict[str, Any]) -> str:
    splits = result["splits"].items()
    return ", ".join(f"{name} {split['examples']:,} in {split['shards']} shards" for name, split in splits)


def _train(records: Path, run: Path) -> dict[str, Any]:
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.training.run import train

    return train(load_config(CONFIG, task="classification"), records, run)


def _training_result(results: dict[str, Any]) -> str:
    return f"{results['epochs']} epochs, loss {results['loss']:.3f}"


def _evaluate(records: Path, run: Path) -> dict[str, Any]:
    from mnasnet_cli.evaluation.classifier import evaluate_classifier

    return evaluate_classifier(str(run), records)


def _accuracy(report: dict[str, Any]) -> str:
    return f"top-1 {console.percent(report['top1'])} of {report['examples']} images"


def _draw_scenes(scenes: Path) -> Path:
    from data_prep.shapes import write_shapes_coco

    write_shapes_coco(scenes, train=TRAIN_SCENES, val=VAL_SCENES, size=SCENE_PIXELS, classes=CLASSES)
    return scenes


def _count_scenes(scenes: Path) -> str:
    count = sum(1 for _ in scenes.glob("*2017/*.jpg"))
    return f"{count:,} scenes of {SCENE_PIXELS} px with up to 5 shapes"


def _prepare_scenes(scenes: Path, records: Path) -> dict[str, Any]:
    from data_prep.coco import prepare_coco
    from data_prep.options import CocoOptions

    return prepare_coco(scenes, records, CocoOptions(train_shards=4, val_shards=2))


def _train_detector(records: Path, run: Path, backbone: Path) -> dict[str, Any]:
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.training.run import train

    return train(load_config(CONFIG, task="detection"), records, run, init=str(backbone))


def _evaluate_detector(records: Path, run: Path) -> dict[str, Any]:
    from mnasnet_cli.evaluation.detector import evaluate_detector

    return evaluate_detector(str(run), records)


def _precision(report: dict[str, Any]) -> str:
    return f"AP {report['AP']:.3f}, AP50 {report['AP50']:.3f} on {report['images']} images"


def available_formats() -> tuple[list[str], str]:
    """The formats that the installed packages can write, and why others are skipped ("" if none are)."""
    from mnasnet_cli.errors import EnvironmentProblem
    from mnasnet_cli.export.onnx import check_converter
    from mnasnet_cli.inference.manifest import FORMATS

    try:
        check_converter()
    except EnvironmentProblem as problem:
        return [name for name in FORMATS if name != "onnx"], str(problem)
    return list(FORMATS), ""


def _export(model: Path, data: Path, formats: list[str]) -> list[Any]:
    """Export the formats. If int8 fails, which a net of few steps may, it is skipped with a warning."""
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.export.exporter import export_model, raise_for_faults

    artifacts: list[Any] = []
    int8 = [name for name in formats if name == INT8]
    for group in filter(None, ([name for name in formats if name != INT8], int8)):
        try:
            written = export_model(
                find_checkpoint(str(model)),
                model / "export",
                group,
                data=data,
                parity_images=PARITY_IMAGES,
                calibration_images=CALIBRATION_IMAGES,
            )
            raise_for_faults(written)
            artifacts += written
        except (CheckFailed, CheckpointError) as problem:
            if group != int8:
                raise
            console.warn(f"{INT8} is skipped: {problem}")
    return artifacts


def _count_artifacts(artifacts: list[Any]) -> str:
    return f"{len(artifacts)} formats, each the same model as the checkpoint"


def _show_artifacts(artifacts: list[Any], skipped: str) -> None:
    from mnasnet_cli.commands.export import print_results

    print_results("Exports", artifacts, "Compared with the checkpoints", note=f"Skipped: {skipped}" if skipped else "")
