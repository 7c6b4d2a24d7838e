"""Untrained variants for benchmarks: nets with random weights, converted to TFLite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.net_table import NetTable, looks_like_net, resolve_variant
from mnasnet_cli.console import progress
from mnasnet_cli.errors import CheckpointError, nearest
from mnasnet_cli.latency.measure import BenchmarkCase
from mnasnet_cli.nets.spec import NETS, PUBLISHED, NetSpec, count_parameters, get_spec, multiply_adds
from mnasnet_cli.system.files import make_folder

CLASSES = 1000  # ImageNet
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
SIZES = (128, 160, 192, 224)  # px
CALIBRATION_IMAGES = 8  # of noise: the quantization scales do not affect the latency
LIVE_BIAS = 10.0  # far from what random weights of a squeeze-excite add to it
SOURCE = "random weights"


def is_variant(model: str) -> bool:
    """Whether a MODEL|VARIANT argument is a variant or the table of one. Another path that exists is a model."""
    return looks_like_net(Path(model)) or (model in NETS and not Path(model).exists())


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
            raise CheckpointError(
                f"no model at {model}, and no variant of that name ({known}; or a file such as net.yaml)"
                f"{nearest(model, NETS)}"
            )
        return BenchmarkCase(model, model, image_size, **options)
    net = _net_of(model)
    width, size = width or 1.0, image_size or get_spec(net.spec or net.name).image_size
    path = convert_variant(model, width, size, folder, int8=int8)
    metadata = variant_metadata(model, width, size)
    return BenchmarkCase(f"{_title(net, width)} (random weights)", str(path), metadata=metadata, **options)


def variant_grid(
    variants: Sequence[str], width: float | None, image_size: int | None, folder: Path, *, int8: bool = False,
    resize_input: bool = True, **options: Any,
) -> list[BenchmarkCase]:  # fmt: skip
    """The cases of all combinations of variant, width and input size.

    Args:
      variants: their names, or files with tables; all if empty.
      width, image_size: use only this one.
      resize_input: convert each net once and resize its input when it is loaded; else use the largest size only.
      options: further fields of `BenchmarkCase`.

    Raises:
      CheckpointError: a name is not a variant.
      ConfigError: a file is not a valid table.
    """
    names = list(variants or NETS)
    for name in names:
        if name not in NETS and not looks_like_net(Path(name)):
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
                title = f"{_net_of(name).label} ×{scale:g}"
                cases.append(
                    BenchmarkCase(title, path, image_size=size, resize_input=True, metadata=metadata, **options)
                )
            bar.update(number)
    return cases


@dataclasses.dataclass(frozen=True)
class _Net:
    """A variant. spec and digest are None for a built-in one."""

    name: str
    label: str
    spec: NetSpec | None
    digest: str | None


def _net_of(variant: str | NetTable) -> _Net:
    """The net of a name, a file or a table. Raises ConfigError if the file is not a valid table."""
    name, table = resolve_variant(variant) if isinstance(variant, str) else (variant.name, variant)
    return _Net(name, table.label, table.spec, table.digest) if table else _Net(name, name, None, None)


def _title(net: _Net, width: float) -> str:
    return net.label if width == 1.0 else f"{net.label} ×{width:g}"


def convert_variant(
    variant: str | NetTable, width: float, image_size: int, folder: Path, *, int8: bool = False, classes: int = CLASSES
) -> Path:
    """Writes a variant with random weights to a subfolder of `folder`, with its manifest; returns the TFLite file.

    variant: a name, a file with a table, or a table.
    """
    from mnasnet_cli.export.tflite.converter import write_tflite

    net = _net_of(variant)
    table = f"-{net.digest[:8]}" if net.digest else ""
    target = folder / f"{net.name}{table}-{width:g}-{image_size}"
    make_folder(target)
    loaded = untrained_model(variant, width, image_size, classes)
    artifact = write_tflite(loaded, target, (lambda: noise_images(image_size, 3)) if int8 else None)
    manifest = loaded.manifest("tflite-int8" if int8 else "tflite")
    dataclasses.replace(manifest, signature=artifact.signature, files=(artifact.path.name,)).write(target)
    return artifact.path


def noise_images(size: int, channels: int) -> Iterator[np.ndarray]:
    """Yields CALIBRATION_IMAGES float32 arrays, [size, size, channels], the same each time."""
    generator = np.random.default_rng(0)
    for _ in range(CALIBRATION_IMAGES):
        yield generator.normal(size=(size, size, channels)).astype(np.float32)


def untrained_model(variant: str | NetTable, width: float, image_size: int, classes: int = CLASSES) -> Any:
    """A classifier with initial weights, as a `LoadedModel`."""
    from mnasnet_cli.checkpoints.reader import CheckpointContents
    from mnasnet_cli.inference.model import LoadedModel
    from mnasnet_cli.modules.classifier import make_classifier
    from mnasnet_cli.modules.info import model_info

    flags: dict[str, Any] = {"model.width": width, "data.image_size": image_size, "data.eval_scale": 1.0}
    if isinstance(variant, NetTable):
        flags |= {"model.variant": variant.name, "model.table": variant.model_dump(mode="json")}
    else:
        flags["model.variant"] = variant
    config = load_config(flags=flags)
    model = make_classifier(config, classes)
    weights = with_live_squeezes({name: variable.numpy() for name, variable in model.weights.items()})
    labels = tuple(str(number) for number in range(1, classes + 1))
    contents = CheckpointContents(SOURCE, 0, model_info(config, labels, labels), weights, False)
    return LoadedModel(contents, config, model, labels, labels, config.preprocessing, None)


def with_live_squeezes(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return random weights with which no squeeze-excite is 0 on all images: in int8, XNNPACK rejects such a net."""
    from mnasnet_cli.export.tflite.dead_squeeze_excite import REDUCE

    return {
        name: np.full_like(value, LIVE_BIAS) if name.endswith(f"{REDUCE}/biases") else value
        for name, value in weights.items()
    }


def variant_metadata(variant: str | NetTable, width: float, image_size: int, classes: int = CLASSES) -> dict[str, Any]:
    """Multiply-adds, parameters and the published accuracy at this image size (None if there is none)."""
    net = _net_of(variant)
    spec = get_spec(net.spec or net.name, width)
    rows = () if net.spec else PUBLISHED
    published = [row for row in rows if (row.net, row.width, row.image_size) == (net.name, width, image_size)]
    return {
        "variant": net.label,
        "width": width,
        "multiply_adds": multiply_adds(spec, image_size, classes),
        "params": count_parameters(spec, classes),
        "top1": published[0].top1 if published else None,
        "source": published[0].source if published else None,
    }
