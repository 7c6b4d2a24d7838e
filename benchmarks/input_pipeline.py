"""Compare our input pipeline with a torchvision DataLoader: from encoded images to training batches.

    python benchmarks/input_pipeline.py IMAGES [--image-size 224] [--batch-size 32] [--rounds 5] [--repeat 20]
                                        [--peer-python PYTHON] [--json FILE]

IMAGES holds `<class>/*.JPEG`. All programs produce float32 batches, not normalized, with RandomResizedCrop (0.08-1) and
a random flip. Ours reads records written by `mnasnet prepare-imagenet` through the pipeline of training. The peers read
the files with ImageFolder and a DataLoader with one worker per core:

- as in torchvision's documentation: decoding by PIL, ToTensor (float32) in the workers;
- tuned: the workers return uint8, and the main process converts to float32; decoding by PIL or by torchvision.io.

A small folder is repeated `--repeat` times with links (records: copies), so that an epoch takes seconds. Whole epochs
are measured after one uncounted epoch. So all programs read from memory, and the workers have started.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import (
    Program,
    images_per_second,
    import_torch,
    machine,
    measure_in_rounds,
    parser_with_rounds,
    report,
    run_worker,
    use_toolkit,
)

TARGET = 2.0
SHARDS = 8
SHUFFLED = 1 / 8  # share of an epoch in the shuffle buffer, which is filled before the first batch (ImageNet: 1/150)
CORES = os.cpu_count() or 1


def repeated(images: Path, folder: Path, times: int) -> int:
    """Create `times` links to every image in folder/train/<class>/; return the number of links."""
    files = [path for path in images.glob("*/*") if path.is_file()]
    if not files:
        raise SystemExit(f"{images} holds no images; expected {images}/<class>/*.JPEG")
    for path in files:
        target = folder / "train" / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            (target / f"{path.stem}-{number:03d}{path.suffix}").symlink_to(path.resolve())
    return len(files) * times


def write_records(source: Path, records: Path) -> None:
    """Run `mnasnet prepare-imagenet` from this checkout."""
    command = [sys.executable, "-m", "mnasnet_cli", "prepare-imagenet", str(source), str(records), "--json"]
    command += ["--train-shards", str(SHARDS)]
    checkout = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"prepare-imagenet failed:\n{done.stderr}")


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the toolkit's training pipeline over whole epochs."""
    use_toolkit()
    import tensorflow as tf

    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.data.imagenet import ImagenetRecords
    from mnasnet_cli.data.pipeline import Share

    flags = {"training.batch_size": arguments.batch_size}
    whole = ImagenetRecords(arguments.scratch / "records", load_config("paper", flags=flags))
    flags["data.shuffle_buffer"] = max(1, int(whole.info.splits["train"].examples * SHUFFLED))
    records = ImagenetRecords(arguments.scratch / "records", load_config("paper", flags=flags))
    numbers = iter(range(1_000_000))

    def epoch() -> None:
        share = Share(arguments.batch_size)
        for _ in records.train_batches(next(numbers), arguments.image_size, 0, share):
            pass

    images = records.steps_per_epoch * arguments.batch_size
    rate = images_per_second(epoch, images, warm_up=1, seconds=arguments.seconds)
    return {"images_per_second": rate, "versions": f"tensorflow {tf.__version__}"}


def dataloader(arguments: argparse.Namespace, *, backend: str) -> dict[str, Any]:
    """Measure ImageFolder and DataLoader over whole epochs.

    Args:
      backend: how images become tensors: "ordinary" (PIL and ToTensor), "pil" (PIL, uint8) or "tensor"
        (torchvision.io, uint8).
    """
    torch, torchvision, v2 = import_torch("torch", "torchvision", "torchvision.transforms.v2")
    io, datasets = torchvision.io, torchvision.datasets
    size = arguments.image_size
    crop_and_flip = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    prefetch: int | None = 4
    if backend == "ordinary":
        (v1,) = import_torch("torchvision.transforms")
        steps = [v1.RandomResizedCrop(size), v1.RandomHorizontalFlip(), v1.ToTensor()]
        loader, transform, prefetch = datasets.folder.default_loader, v1.Compose(steps), None
    elif backend == "pil":
        loader, transform = datasets.folder.default_loader, v2.Compose([*crop_and_flip, v2.PILToTensor()])
    else:
        loader, transform = (lambda path: io.decode_image(path, mode="RGB")), v2.Compose(crop_and_flip)
    batches = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(arguments.scratch / "source" / "train"), transform, loader=loader),
        batch_size=arguments.batch_size,
        shuffle=True,
        num_workers=arguments.workers,
        persistent_workers=True,
        prefetch_factor=prefetch,
        drop_last=True,
    )

    def epoch() -> None:
        for images, _ in batches:
            images.float()  # the tuned workers return uint8, a quarter of the bytes; no effect on float32

    rate = images_per_second(epoch, len(batches) * arguments.batch_size, warm_up=1, seconds=arguments.seconds)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return {"images_per_second": rate, "versions": versions}


WORKERS = {
    "ours": ours,
    "ordinary": lambda arguments: dataloader(arguments, backend="ordinary"),
    "pil": lambda arguments: dataloader(arguments, backend="pil"),
    "tensor": lambda arguments: dataloader(arguments, backend="tensor"),
}


def main() -> None:
    """Write the records, measure, print the table, write JSON."""
    parser = parser_with_rounds(__doc__ or "", rounds=5)
    parser.add_argument("images", type=Path, nargs="?", help="folder with <class>/*.JPEG")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=20, help="copies of each image in an epoch")
    parser.add_argument("--workers", type=int, default=CORES, help="workers of the DataLoader")
    parser.add_argument("--scratch", type=Path, help="folder for temporary links and records")
    arguments = parser.parse_args()
    if arguments.worker:
        return run_worker(WORKERS, arguments)
    if arguments.images is None:
        parser.error("IMAGES is missing: a folder with <class>/*.JPEG")
    use_toolkit()
    before, peer = machine(), arguments.peer_python
    programs = [
        Program("mnasnet records, tf.data", "ours"),
        Program(f"torchvision DataLoader, {arguments.workers} workers, as documented", "ordinary", peer),
        Program("tuned: uint8 from PIL", "pil", peer),
        Program("tuned: uint8 from torchvision.io", "tensor", peer, optional=True),
    ]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        scratch = Path(name)
        count = repeated(arguments.images, scratch / "source", arguments.repeat)
        write_records(scratch / "source", scratch / "records")
        conditions = {key: getattr(arguments, key) for key in ("image_size", "batch_size", "workers", "seconds")}
        flags = [f"--{key.replace('_', '-')}={value}" for key, value in conditions.items()]
        measure_in_rounds(programs, arguments.rounds, [f"--scratch={scratch}", *flags])
    conditions |= {"images": count, "repeat": arguments.repeat, "rounds": arguments.rounds}
    title = f"Input pipeline, {count:,} images, crop to {arguments.image_size} px, batch {arguments.batch_size}"
    documented = programs[1]
    return report(
        title, programs, target=TARGET, before=before, conditions=conditions, path=arguments.json, peer=documented
    )


if __name__ == "__main__":
    main()
