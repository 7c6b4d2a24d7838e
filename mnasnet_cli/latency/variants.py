"""Bare variants to time: nets with random weights as TFLite files, and the grid of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.loading import validate
from mnasnet_cli.console import progress
from mnasnet_cli.errors import CheckpointError, nearest
from mnasnet_cli.latency.measure import Subject
from mnasnet_cli.nets.spec import NETS, PUBLISHED, count_parameters, get_spec, multiply_adds

CLASSES = 1000  # ImageNet's
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
SIZES = (128, 160, 192, 224)  # px
CALIBRATION_IMAGES = 8  # of noise: the scales don't matter to the time
SOURCE = "random weights"


def is_variant(model: str) -> bool:
    """Whether a MODEL or VARIANT argument means a bare variant: anything that exists under the name is a model."""
    return model in NETS and not Path(model).exists()


def subject(
    model: str, width: float | None, image_size: int | None, scratch: Path, *, int8: bool = False, **options: Any
) -> Subject:
    """What a MODEL or VARIANT argument of `mnasnet benchmark` means; a variant is converted into a folder of `scratch`.

    Width and int8 are for variants alone. `options`: of `Subject`.

    Raises:
      CheckpointError: neither a model nor a variant.
    """
    if not is_variant(model):
        if not Path(model).exists() and not Path(f"{model}.index").exists():
            known = ", ".join(NETS)
            raise CheckpointError(f"no model at {model}, and no variant of that name ({known}){nearest(model, NETS)}")
        return Subject(model, model, image_size, **options)
    width, size = width or 1.0, image_size or get_spec(model).image_size
    path = convert(model, width, size, scratch, int8=int8)
    name = model if width == 1.0 else f"{model} ×{width:g}"
    return Subject(f"{name} (random weights)", str(path), facts=facts(model, width, size), **options)


def grid(
    variants: Sequence[str], width: float | None, image_size: int | None, scratch: Path, *, int8: bool = False,
    resizable: bool = True, **options: Any,
) -> list[Subject]:  # fmt: skip
    """Every variant (of those named, where any are) at every width and input size, or at the one that is given.

    `resizable`: a net is converted once, and its input resized as it is loaded; else, at one size only.
    """
    names = list(variants or NETS)
    for name in names:
        if name not in NETS:
            raise CheckpointError(f"--all is for variants; {name} is none ({', '.join(NETS)}){nearest(name, NETS)}")
    widths = (width,) if width else WIDTHS
    sizes = (image_size,) if image_size else SIZES if resizable else SIZES[-1:]
    subjects = []
    with progress("convert", len(names) * len(widths), unit="nets") as bar:
        for number, (name, scale) in enumerate(((name, scale) for name in names for scale in widths), 1):
            path = convert(name, scale, sizes[-1], scratch, int8=int8)
            for size in sizes:
                about = facts(name, scale, size)
                title = f"{name} ×{scale:g}"
                subjects.append(Subject(title, str(path), image_size=size, resize=True, facts=about, **options))
            bar.update(number)
    return subjects


def convert(variant: str, width: float, image_size: int, scratch: Path, *, int8: bool = False) -> Path:
    """Writes a variant with random weights as `model.tflite`, with its manifest, into a folder of its own."""
    from mnasnet_cli.export.tflite.converter import write_tflite

    folder = scratch / f"{variant}-{width:g}-{image_size}"
    folder.mkdir(parents=True, exist_ok=True)
    loaded = random_model(variant, width, image_size)

    def noise() -> Iterator[np.ndarray]:
        generator = np.random.default_rng(0)
        for _ in range(CALIBRATION_IMAGES):
            yield generator.normal(size=(image_size, image_size, 3)).astype(np.float32)

    written = write_tflite(loaded, folder, noise if int8 else None)
    manifest = loaded.manifest("tflite-int8" if int8 else "tflite")
    dataclasses.replace(manifest, signature=written.signature, files=(written.path.name,)).write(folder)
    return written.path


def random_model(variant: str, width: float, image_size: int) -> Any:
    """A classifier as it is before its training, as a `LoadedModel`."""
    from mnasnet_cli.checkpoints.reader import CheckpointContents
    from mnasnet_cli.inference.model import LoadedModel, preprocessing_of
    from mnasnet_cli.models.classifier import make_classifier

    tree = {
        "task": "imagenet",
        "model": {"variant": variant, "width": width},
        "data": {"image_size": image_size, "eval_scale": 1.0},
    }
    config = validate(tree, variant)
    model = make_classifier(config, CLASSES)
    weights = {name: variable.numpy() for name, variable in model.weights.items()}
    labels = tuple(str(number) for number in range(1, CLASSES + 1))
    contents = CheckpointContents(SOURCE, 0, {"variant": variant, "width": width}, weights, False)
    return LoadedModel(
        contents, config, "classifier", model, labels, labels, preprocessing_of(config, "classifier"), None
    )


def facts(variant: str, width: float, image_size: int, classes: int = CLASSES) -> dict[str, Any]:
    """What the tables say of a classifier: multiply-adds, parameters, and its published accuracy at this size."""
    spec = get_spec(variant, width)
    published = [row for row in PUBLISHED if (row.net, row.width, row.image_size) == (variant, width, image_size)]
    return {
        "variant": variant,
        "width": width,
        "multiply_adds": multiply_adds(spec, image_size, classes),
        "params": count_parameters(spec, classes),
        "top1": published[0].top1 if published else None,
        "source": published[0].source if published else None,
    }
