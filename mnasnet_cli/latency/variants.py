"""Untrained variants for benchmarks: nets with random weights, converted to TFLite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.loading import validate
from mnasnet_cli.console import progress
from mnasnet_cli.errors import CheckpointError, nearest
from mnasnet_cli.latency.measure import BenchmarkCase
from mnasnet_cli.nets.spec import NETS, PUBLISHED, count_parameters, get_spec, multiply_adds
from mnasnet_cli.system.files import make_folder

CLASSES = 1000  # ImageNet
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
SIZES = (128, 160, 192, 224)  # px
CALIBRATION_IMAGES = 8  # of noise: the quantization scales do not affect the latency
SOURCE = "random weights"


def is_variant(model: str) -> bool:
    """Whether a MODEL|VARIANT argument names a variant. An existing path of that name is a model."""
    return model in NETS and not Path(model).exists()


def benchmark_case(
    model: str, width: float | None, image_size: int | None, folder: Path, *, int8: bool = False, **options: Any
) -> BenchmarkCase:
    """The case of a MODEL|VARIANT argument. A variant is converted into a subfolder of `folder`.

    Args:
      width, int8: only for variants.
      options: further fields of `BenchmarkCase`.

    Raises:
      CheckpointError: neither a model nor a variant.
    """
    if not is_variant(model):
        if not Path(model).exists() and not Path(f"{model}.index").exists():
            known = ", ".join(NETS)
            raise CheckpointError(f"no model at {model}, and no variant of that name ({known}){nearest(model, NETS)}")
        return BenchmarkCase(model, model, image_size, **options)
    width, size = width or 1.0, image_size or get_spec(model).image_size
    path = convert_variant(model, width, size, folder, int8=int8)
    name = model if width == 1.0 else f"{model} ×{width:g}"
    metadata = variant_metadata(model, width, size)
    return BenchmarkCase(f"{name} (random weights)", str(path), metadata=metadata, **options)


def variant_grid(
    variants: Sequence[str], width: float | None, image_size: int | None, folder: Path, *, int8: bool = False,
    resize_input: bool = True, **options: Any,
) -> list[BenchmarkCase]:  # fmt: skip
    """The cases of all combinations of variant, width and input size.

    Args:
      variants: their names; all if empty.
      width, image_size: use only this one.
      resize_input: convert each net once and resize its input when it is loaded; else use the largest size only.
      options: further fields of `BenchmarkCase`.

    Raises:
      CheckpointError: a name is not a variant.
    """
    names = list(variants or NETS)
    for name in names:
        if name not in NETS:
            raise CheckpointError(
                f"--all takes variants, and {name} is not one ({', '.join(NETS)}){nearest(name, NETS)}"
            )
    widths = (width,) if width else WIDTHS
    sizes = (image_size,) if image_size else SIZES if resize_input else SIZES[-1:]
    cases = []
    with progress("convert", len(names) * len(widths), unit="nets") as bar:
        for number, (name, scale) in enumerate(((name, scale) for name in names for scale in widths), 1):
            path = str(convert_variant(name, scale, sizes[-1], folder, int8=int8))
            for size in sizes:
                metadata = variant_metadata(name, scale, size)
                title = f"{name} ×{scale:g}"
                cases.append(
                    BenchmarkCase(title, path, image_size=size, resize_input=True, metadata=metadata, **options)
                )
            bar.update(number)
    return cases


def convert_variant(variant: str, width: float, image_size: int, folder: Path, *, int8: bool = False) -> Path:
    """Writes a variant with random weights to a subfolder of `folder`, with its manifest; returns the TFLite file."""
    from mnasnet_cli.export.tflite.converter import write_tflite

    target = folder / f"{variant}-{width:g}-{image_size}"
    make_folder(target)
    loaded = untrained_model(variant, width, image_size)

    def noise() -> Iterator[np.ndarray]:
        generator = np.random.default_rng(0)
        for _ in range(CALIBRATION_IMAGES):
            yield generator.normal(size=(image_size, image_size, 3)).astype(np.float32)

    artifact = write_tflite(loaded, target, noise if int8 else None)
    manifest = loaded.manifest("tflite-int8" if int8 else "tflite")
    dataclasses.replace(manifest, signature=artifact.signature, files=(artifact.path.name,)).write(target)
    return artifact.path


def untrained_model(variant: str, width: float, image_size: int) -> Any:
    """A classifier with initial weights, as a `LoadedModel`."""
    from mnasnet_cli.checkpoints.reader import CheckpointContents
    from mnasnet_cli.inference.model import LoadedModel
    from mnasnet_cli.modules.classifier import make_classifier

    tree = {
        "model": {"variant": variant, "width": width},
        "data": {"image_size": image_size, "eval_scale": 1.0},
    }
    config = validate(tree, variant)
    model = make_classifier(config, CLASSES)
    weights = {name: variable.numpy() for name, variable in model.weights.items()}
    labels = tuple(str(number) for number in range(1, CLASSES + 1))
    contents = CheckpointContents(SOURCE, 0, {"variant": variant, "width": width}, weights, False)
    return LoadedModel(contents, config, model, labels, labels, config.preprocessing, None)


def variant_metadata(variant: str, width: float, image_size: int, classes: int = CLASSES) -> dict[str, Any]:
    """Multiply-adds, parameters and the published accuracy at this image size (None if there is none)."""
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
