"""`mnasnet demo`: the whole way on generated images."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag
from mnasnet_cli.errors import DataError

# Chosen so that the whole takes two to three minutes on two busy cores: shapes on noisy backgrounds.
CLASSES, TRAIN_PER_CLASS, VAL_PER_CLASS, PIXELS = 6, 200, 40, 96
CONFIG = "demo"
PARTS = ("images", "records", "run")  # what a demo folder holds, and all that a new demo removes from it
MARK = "demo.json"


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all that the demo makes.")] = Path(
        "runs/demo"
    ),
    json_output: JsonFlag = False,
) -> None:
    """Go the whole way on generated images, in a few minutes: records, training, evaluation."""
    began = time.monotonic()
    _clear(out)
    images, records, run = (out / part for part in PARTS)
    steps: list[tuple[str, str, float]] = []

    def step(name: str, command: str, work: Callable[[], Any], describe: Callable[[Any], str]) -> Any:
        console.say(f"{name}: {command}")
        started = time.monotonic()
        result = work()
        steps.append((name, describe(result), round(time.monotonic() - started, 1)))
        return result

    step("images", f"drawing {CLASSES} classes of shapes into {images}", lambda: _draw(images), _count_images)
    step("records", f"mnasnet prepare-imagenet {images} {records} --train-shards 4 --val-shards 2",
         lambda: _prepare(images, records), _count_records)  # fmt: skip
    step("training", f"mnasnet train-imagenet --config {CONFIG} --data {records} --run-dir {run}",
         lambda: _train(records, run), _last_of_training)  # fmt: skip
    scores = step("evaluation", f"mnasnet eval --imagenet-val {run} --data {records}",
                  lambda: _evaluate(records, run), _accuracy)  # fmt: skip
    seconds = round(time.monotonic() - began, 1)
    if json_output:
        kept = {key: scores[key] for key in ("top1", "top5", "loss", "examples")}
        console.emit_json({"out": str(out), "seconds": seconds, **kept})
        return
    console.print_table(
        f"Demo in {out}: {console.duration(seconds)}", ("step", "result", "seconds"), steps,
        caption="This shows that everything works here; it says nothing about accuracy on photographs.",
    )  # fmt: skip


def _clear(out: Path) -> None:
    """Make the folder, and remove what an earlier demo left; never touch a folder that no demo made."""
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise DataError(f"{out} holds other files; choose another folder with --out")
    for part in PARTS:
        shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("{}\n", encoding="utf-8")


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
    from data_prep.imagenet import Options, prepare_imagenet

    return prepare_imagenet(images, records, Options(train_shards=4, val_shards=2))


def _count_records(result: dict[str, Any]) -> str:
    splits = result["splits"].items()
    return ", ".join(f"{name} {split['examples']:,} in {split['shards']} shards" for name, split in splits)


def _train(records: Path, run: Path) -> dict[str, Any]:
    from mnasnet_cli.config import load_config
    from mnasnet_cli.training.run import train

    return train(load_config(CONFIG, task="imagenet"), records, run)


def _last_of_training(results: dict[str, Any]) -> str:
    return f"{results['epochs']} epochs, loss {results['loss']:.3f}"


def _evaluate(records: Path, run: Path) -> dict[str, Any]:
    from mnasnet_cli.artifacts.evaluation import evaluate_classifier

    return evaluate_classifier(str(run), records)


def _accuracy(report: dict[str, Any]) -> str:
    return f"top-1 {report['top1']:.1%} of {report['examples']} images"
