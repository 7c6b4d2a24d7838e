"""What is run with the code of both sides, and what of its results is compared.

In the folder of each side, `photos` and `scenes` are the sets of images, and `old` is the folder of the side before:
so both sides can start from the same records, runs and checkpoints, those that the code before wrote.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import file_differences as differences
import yaml
from revisions import Side

FORMATS = ("saved-model", "frozen", "tflite", "tflite-fp16", "tflite-int8", "onnx", "slim-checkpoint")
SMALL_TRAIN, SMALL_VAL = 64, 20  # images a class of the small set
PHOTOS, SCENES = 16, 8  # real images that exported models are run on


class Row(NamedTuple):
    """A line of the table; the difference is "" where there is none."""

    step: str
    compared: str
    difference: str


@dataclass(frozen=True)
class Options:
    """What the steps run on."""

    data: Path
    """Folder with train/<class>/* and val/<class>/*."""
    coco: Path
    """Folder in COCO's layout."""
    quick: bool

    @property
    def records(self) -> str:
        """Those of the first epoch."""
        return "old/records/small" if self.quick else "old/records/all"

    @property
    def first_epoch(self) -> list[str]:
        return ["--image-size=64"] if self.quick else []

    @property
    def detector(self) -> list[str]:
        # A detector after so few steps fails the parity check of int8 at larger sizes.
        return ["--image-size=128", "--set=data.progressive=[]"]


@dataclass(frozen=True)
class Step:
    """`run` leaves files in a side's folder; `compare` reads them from both folders."""

    name: str
    run: Callable[[Side, Options], None]
    compare: Callable[[Path, Path], Iterator[tuple[str, str]]]


def link_inputs(side: Side, before: Path, options: Options) -> None:
    for name, target in (("photos", options.data), ("scenes", options.coco), ("old", before)):
        link = side.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve())
    small = side.folder / "small"
    for split, count in (("train", SMALL_TRAIN), ("val", SMALL_VAL)):
        for folder in sorted((options.data / split).iterdir()):
            (small / split / folder.name).mkdir(parents=True, exist_ok=True)
            for image in sorted(folder.iterdir())[:count]:
                link = small / split / folder.name / image.name
                if not link.is_symlink():
                    link.symlink_to(image.resolve())


def _write(side: Side, name: str, value: Any) -> None:
    file = side.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=1))


# --- what the program says about itself


def _run_help(side: Side, _: Options) -> None:
    names = re.findall(r"^│ ([a-z][a-z-]+)\s", side.run("--help"), re.MULTILINE)
    flags = {name: sorted(set(re.findall(r"(?<!\S)--[a-z][\w-]*", side.run(name, "--help")))) for name in names}
    _write(side, "help.json", flags)


def _compare_help(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    old, new = (json.loads((folder / "help.json").read_text()) for folder in (before, after))
    gone = [name for name in old if name not in new]
    gone += [f"{name} {flag}" for name in old for flag in old[name] if name in new and flag not in new[name]]
    count = sum(map(len, old.values()))
    yield f"{len(old)} commands and their {count} options are all there", f"missing: {', '.join(gone)}" if gone else ""


def _run_models(side: Side, _: Options) -> None:
    widths = {str(width): side.json("models", "--width", width) for width in (0.35, 0.5, 0.75, 1.0, 1.4)}
    _write(side, "models.json", {"default": side.json("models"), **widths})


def _compare_models(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    found = differences.json_files(before / "models.json", after / "models.json")
    yield "models --json, at the default and five widths", found


def _run_recipes(side: Side, options: Options) -> None:
    """The configuration as a run keeps it: the run is killed as soon as it is written."""
    for task, data in (("imagenet", options.records), ("coco", "old/records/coco")):
        for recipe in sorted((side.code / "configs" / task).glob("*.yaml")):
            run = side.folder / "recipes" / f"{task}-{recipe.stem}"
            file = run / "config.yaml"
            shutil.rmtree(run, ignore_errors=True)
            arguments = [f"--config={recipe.stem}", f"--data={data}", f"--run-dir={run.relative_to(side.folder)}"]
            side.run_until(file.is_file, signal.SIGKILL, f"train-{task}", *arguments)


def _compare_recipes(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    names = sorted({path.name for folder in (before, after) for path in (folder / "recipes").iterdir()})
    for name in names:
        files = [folder / "recipes" / name / "config.yaml" for folder in (before, after)]
        if not all(file.is_file() for file in files):
            yield f"config.yaml of {name}", "the recipe is in one only"
            continue
        yield f"config.yaml of {name}", differences.values(*(yaml.safe_load(file.read_text()) for file in files))


# --- records and trainings


def _run_records(side: Side, options: Options) -> None:
    for name in ("small",) if options.quick else ("small", "all"):
        source = "small" if name == "small" else "photos"
        side.run("prepare-imagenet", source, f"records/{name}", "--train-shards=8", "--val-shards=2")
    side.run("prepare-coco", "scenes", "records/coco", "--train-shards=4", "--val-shards=2")


def _compare_records(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    for folder in sorted(path.name for path in (before / "records").iterdir()):
        found = differences.folder_bytes(before / "records" / folder, after / "records" / folder)
        yield f"bytes of records, labels.txt and dataset.json of {folder}", found


def _first_epoch_step(run: Path) -> int | None:
    file = run / "metrics.jsonl"
    for text in file.read_text().splitlines() if file.is_file() else ():
        line = json.loads(text) if text.endswith("}") else {}
        if line.get("split") == "validation" and line["epoch"] == 1.0:
            return int(line["step"])
    return None


def first_epoch_prefix(folder: Path) -> str:
    """The checkpoint at the end of the first epoch, as the commands name it."""
    return f"old/first-epoch/checkpoints/ckpt-{_first_epoch_step(folder / 'old' / 'first-epoch')}"


def _run_first_epoch(side: Side, options: Options) -> None:
    run = side.folder / "first-epoch"

    def saved() -> bool:
        step = _first_epoch_step(run)
        return step is not None and (run / "checkpoints" / f"ckpt-{step}.index").is_file()

    shutil.rmtree(run, ignore_errors=True)
    arguments = ["--config=quick", f"--data={options.records}", "--run-dir=first-epoch", *options.first_epoch]
    side.run_until(saved, signal.SIGTERM, "train-imagenet", *arguments)


def _compare_first_epoch(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    runs = [folder / "first-epoch" for folder in (before, after)]
    step = _first_epoch_step(runs[0])
    prefixes = [str(run / "checkpoints" / f"ckpt-{step}") for run in runs]
    count = differences.count_variables(prefixes[0])
    yield f"{count} variables after step {step:,}, bit by bit", differences.checkpoints(*prefixes)
    found = differences.json_lines(*(run / "metrics.jsonl" for run in runs), last_step=step)
    yield "metrics.jsonl of the epoch, without times", found


def _run_resume(side: Side, _: Options) -> None:
    """Both sides end a run that the code before began."""
    stopped = side.folder / "old" / "resume" / "stopped"
    if side.folder.samefile(side.folder / "old"):
        shutil.rmtree(stopped, ignore_errors=True)
        metrics = stopped / "metrics.jsonl"
        arguments = ["--config=quick", "--epochs=3", "--image-size=64", "--data=old/records/small"]
        arguments += ["--run-dir=old/resume/stopped", "--set=model.dropout=0.2", "--set=data.augment.mixup=0.2"]
        side.run_until(
            lambda: metrics.is_file() and len(metrics.read_text().splitlines()) >= 15,  # of the 2nd epoch
            signal.SIGTERM,
            "train-imagenet",
            *arguments,
        )
    run = side.folder / "resume" / "ended"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(stopped, run)
    side.run("train-imagenet", "--data=old/records/small", "--run-dir=resume/ended")


def _compare_resume(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    yield from _compare_runs("the resumed run", *(folder / "resume" / "ended" for folder in (before, after)))


def _run_detector(side: Side, options: Options) -> None:
    shutil.rmtree(side.folder / "detector", ignore_errors=True)
    arguments = ["--config=lite", "--epochs=1", "--data=old/records/coco", "--run-dir=detector", *options.detector]
    side.run("train-coco", f"--backbone={first_epoch_prefix(side.folder)}", *arguments)


def _compare_detector(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    yield from _compare_runs("the detector", *(folder / "detector" for folder in (before, after)))


def _compare_runs(what: str, before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Newest checkpoint, metrics and results of two whole runs."""
    import tensorflow as tf

    prefixes = [tf.train.latest_checkpoint(str(run / "checkpoints")) for run in (before, after)]
    count, step = differences.count_variables(prefixes[0]), Path(prefixes[0]).name.partition("-")[2]
    yield f"{count} variables of {what} at step {step}, bit by bit", differences.checkpoints(*prefixes)
    found = differences.json_lines(before / "metrics.jsonl", after / "metrics.jsonl")
    yield f"metrics.jsonl of {what}, without times", found
    found = differences.json_files(before / "results.json", after / "results.json")
    yield f"results.json of {what}, without times", found


# --- exports of one checkpoint, made by the code before


def _run_exports(side: Side, _: Options) -> None:
    models = (("classifier", first_epoch_prefix(side.folder), "small"), ("detector", "old/detector", "coco"))
    for kind, model, data in models:
        formats = [f"--format={name}" for name in (*FORMATS, *(("timm",) if kind == "classifier" else ()))]
        shutil.rmtree(side.folder / "exports" / kind, ignore_errors=True)
        arguments = [f"--out=exports/{kind}", f"--data=old/records/{data}", *formats]
        _write(side, f"exports/{kind}.json", side.json("export", model, *arguments))


def _compare_exports(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    for kind, photos in (
        ("classifier", _photos(before, "photos/val")),
        ("detector", _photos(before, "scenes/val2017")),
    ):
        reports = [_without_random_sizes(folder / f"exports/{kind}.json") for folder in (before, after)]
        yield f"{kind}: export --json, with parity, and sizes where they are not random", differences.values(*reports)
        for name in (*FORMATS, *(("timm",) if kind == "classifier" else ())):
            folders = [folder / "exports" / kind / name for folder in (before, after)]
            yield from ((f"{kind}, {what}", found) for what, found in _compare_export(name, *folders, photos))


def _without_random_sizes(file: Path) -> Any:
    report = json.loads(file.read_text())
    for artifact in report["artifacts"]:
        if artifact["format"] in differences.RANDOM_FILES:
            del artifact["bytes"]
    return report


def _compare_export(name: str, before: Path, after: Path, photos: list[bytes]) -> Iterator[tuple[str, str]]:
    left_out = differences.RANDOM_FILES.get(name, ())
    others = f" but {' and '.join(left_out)}" if left_out else ""
    yield f"{name}: bytes of all files{others}", differences.folder_bytes(before, after, left_out)
    if name == "frozen":
        found = differences.graphs(before / "model.pb", after / "model.pb")
        yield "frozen: bytes of the graph, with the attributes of each node in order", found
    elif name in ("saved-model", "onnx"):
        run, file = {
            "saved-model": (differences.run_saved_model, "1"),
            "onnx": (differences.run_onnx, "model.onnx"),
        }[name]
        found = differences.outputs(run(before / file, photos), run(after / file, photos))
        yield f"{name}: outputs of all signatures on {len(photos)} real images", found


def _photos(folder: Path, below: str) -> list[bytes]:
    """The first images of each folder in turn."""
    found = sorted(path for path in (folder / below).rglob("*") if path.is_file())
    count = SCENES if below.startswith("scenes") else PHOTOS
    return [path.read_bytes() for path in found[:: max(1, len(found) // count)][:count]]


# --- reading what the code before wrote


def _run_readers(side: Side, options: Options) -> None:
    classifier = first_epoch_prefix(side.folder)
    found = {}
    commands = [f"inspect old/records/{name}" for name in ("small", "coco")]
    commands += [f"inspect {model}" for model in (classifier, "old/resume/ended", "old/detector")]
    commands += [f"inspect old/exports/{kind}/{name}" for kind in ("classifier", "detector") for name in FORMATS]
    commands += [f"eval --imagenet-val {classifier} --data=old/records/small{flag}" for flag in ("", " --no-ema")]
    commands += [f"eval --imagenet-val old/exports/classifier/{name} --data=old/records/small" for name in FORMATS[:-1]]
    commands += [f"eval --coco-val {model} --data=old/records/coco" for model in _detectors()]
    commands += [f"predict {model} small/val --top=10" for model in (classifier, *_classifiers())]
    commands += [f"predict {model} scenes/val2017 --score-threshold=0.001" for model in _detectors()]
    for command in commands:
        found[command] = side.json(*command.split())
    side.run("eval", "--coco-val", "old/detector", "--data=old/records/coco", "--detections=detections.json")
    report = "report detections.json scenes/annotations/instances_val2017.json"
    found[report] = side.json(*report.split())
    _write(side, "readers.json", found)
    shutil.rmtree(side.folder / "imported", ignore_errors=True)
    slim = "old/exports/classifier/slim-checkpoint/model.ckpt"
    side.run("import", slim, "imported", "--variant=b1", "--labels=old/records/small/labels.txt")


def _classifiers() -> list[str]:
    return [f"old/exports/classifier/{name}" for name in FORMATS[:-1]]


def _detectors() -> list[str]:
    return ["old/detector", *(f"old/exports/detector/{name}" for name in FORMATS[:-1])]


def _compare_readers(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    old, new = (json.loads((folder / "readers.json").read_text()) for folder in (before, after))
    for command, value in old.items():
        yield f"{command} --json", differences.values(value, new.get(command))
    found = differences.file_bytes(before / "detections.json", after / "detections.json")
    yield "eval --coco-val --detections: bytes of the file", found
    prefixes = [str(next((folder / "imported").rglob("*.index")).with_suffix("")) for folder in (before, after)]
    count = differences.count_variables(prefixes[0])
    yield f"import of a slim checkpoint: {count} variables, bit by bit", differences.checkpoints(*prefixes)


STEPS = (
    Step("help", _run_help, _compare_help),
    Step("models", _run_models, _compare_models),
    Step("records", _run_records, _compare_records),
    Step("recipes", _run_recipes, _compare_recipes),
    Step("first epoch", _run_first_epoch, _compare_first_epoch),
    Step("resume", _run_resume, _compare_resume),
    Step("detector", _run_detector, _compare_detector),
    Step("exports", _run_exports, _compare_exports),
    Step("readers", _run_readers, _compare_readers),
)
