"""Measure the input of training on 1.2 million records: starts, bytes read by each process, memory and order.

    python benchmarks/input_at_scale.py RECORDS [--records 1200000] [--processes 4] [--json FILE]

RECORDS holds the records of a small set, as `mnasnet prepare-imagenet` writes them. Their training shards are linked
under new names until there are `--records` of them, without dataset.json and labels.txt: records of another program.
Each number comes from a process of its own. `buffer` is the order of earlier versions, with a shuffle buffer.

- start: `load_dataset_info` and finding the records, without an index and with it;
- first batch: from the call of the pipeline to its first batch of `--batch-size` images at 128 px, decoded and
  augmented, after 0, 50 and 99 % of an epoch, in a process that has traced the functions before;
- bytes: what each of `--processes` processes reads in one epoch, undecoded, from `rchar` of /proc/self/io, over its
  part of all bytes;
- memory: the peak of such a process after a tenth of its records, and after all;
- order: whether the images of a step are the same on one, two and four processes, at three places of an epoch;
- mixing, as if the records lay class by class: distance of neighbours, and the variance of the images of a class in a
  batch over that of a batch drawn at random.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import machine, run_worker, use_toolkit

PLACES = (0.0, 0.5, 0.99)


def link_shards(source: Path, folder: Path, records: int) -> int:
    """Link the training shards of `source` into `folder` until there are `records`; return their number."""
    from mnasnet_cli.records.dataset_info import load_dataset_info
    from mnasnet_cli.records.shards import find_shards, shard_name

    counts = load_dataset_info(source).splits["train"].shard_examples
    shards = [*zip(find_shards(source, "train"), counts, strict=True)]
    chosen: list[tuple[Path, int]] = []
    while sum(count for _, count in chosen) < records:
        chosen.append(shards[len(chosen) % len(shards)])
    folder.mkdir()
    for number, (path, _) in enumerate(chosen):
        (folder / shard_name("train", number, len(chosen))).symlink_to(path.resolve())
    return sum(count for _, count in chosen)


def records_of(arguments: argparse.Namespace) -> Any:
    """Return the records as training reads them."""
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.data.imagenet import ImagenetRecords

    flags = {"training.batch_size": arguments.batch_size, "data.order": arguments.order}
    return ImagenetRecords(arguments.folder, load_config("quick", flags=flags))


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Find the records, and return the seconds."""
    use_toolkit()
    import tensorflow as tf

    records = records_of(arguments)
    began = time.perf_counter(), time.process_time()
    steps = records.steps_per_epoch
    if arguments.order == "blocks":
        records.index("train")
    spent = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"seconds": spent[0], "cpu_seconds": spent[1], "steps": steps, "tensorflow": tf.__version__}


def first_batch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds to the first batch after a part of the epoch."""
    use_toolkit()
    from mnasnet_cli.data.pipeline import Share

    records, share = records_of(arguments), Share(arguments.batch_size)
    skip = int(records.steps_per_epoch * arguments.place) * arguments.batch_size
    next(iter(records.train_batches(1, 128, 0, share)))  # traces the functions, and begins to read
    began = time.perf_counter(), time.process_time()
    next(iter(records.train_batches(0, 128, skip, share)))
    return {"seconds": time.perf_counter() - began[0], "cpu_seconds": time.process_time() - began[1]}


def epoch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read a process's share of an epoch without decoding; return bytes, seconds and peaks of memory."""
    use_toolkit()
    from mnasnet_cli.data.pipeline import Share

    records = records_of(arguments)
    own = records.steps_per_epoch * arguments.batch_size // arguments.processes
    share = Share(arguments.batch_size // arguments.processes, arguments.index, arguments.processes)
    batches = records.train_records(0, 0, share).batch(share.batch_size)
    before, began = _read_bytes(), time.process_time()
    peaks = []
    for number, _ in enumerate(batches):
        if number == own // share.batch_size // 10:
            peaks.append(_peak())
    return {
        "bytes": _read_bytes() - before,
        "cpu_seconds": time.process_time() - began,
        "records": own,
        "peak_early": peaks[0],
        "peak": _peak(),
    }


def steps(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a digest of the images, and of their positions, of each of some steps, over all processes."""
    use_toolkit()
    from mnasnet_cli.data.pipeline import Share

    records, count, size = records_of(arguments), arguments.processes, arguments.batch_size
    digests = []
    for place in PLACES:
        skip = min(int(records.steps_per_epoch * place), records.steps_per_epoch - 8) * size
        found: list[dict[int, bytes]] = [{} for _ in range(8)]
        for index in range(count):
            share = Share(size // count, index, count)
            for step, (positions, data) in enumerate(records.train_records(0, skip, share).batch(share.batch_size)):
                if step == len(found):
                    break
                found[step] |= zip(positions.numpy().tolist(), data.numpy().tolist(), strict=True)
        for images in found:
            assert len(images) == size
            digests.append(hashlib.sha256(repr(sorted(images.items())).encode()).hexdigest()[:16])
    return {"digests": digests}


def mixing(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how well an epoch is mixed, from the number of the record at each position."""
    use_toolkit()
    import numpy as np

    records, size = records_of(arguments), arguments.batch_size
    total, used = records.train_examples, records.steps_per_epoch * size
    if arguments.order == "blocks":
        numbers = records.train_order(0).numbers(np.arange(used))
    else:
        numbers = _buffer_numbers(records, total)[:used]
    place = np.full(total, -1)
    place[numbers] = np.arange(used)
    here = (place[1:] >= 0) & (place[:-1] >= 0)
    distances = np.abs(np.diff(place))[here]
    classes = 1000
    batches = (numbers * classes // total).reshape(-1, size)
    rows = np.arange(len(batches)).repeat(size)
    counts = np.zeros((len(batches), classes), np.int8)
    np.add.at(counts, (rows, batches.reshape(-1)), 1)
    at_random = size / classes * (1 - 1 / classes)
    quantiles = np.quantile(distances, [0.05, 0.5])
    return {
        "distance_5": float(quantiles[0]),
        "distance_median": float(quantiles[1]),
        "variance": float(counts.astype(float).var() / at_random),
        "own_steps": float((distances < size).mean()),
    }


def _buffer_numbers(records: Any, total: int) -> Any:
    """Return the order of the shuffle buffer: the same operations, on numbers in place of records."""
    import numpy as np
    import tensorflow as tf

    counts = records.info.splits["train"].shard_examples
    ends = np.cumsum(counts)
    seed = 1_000_003 * records.config.training.seed
    ranges = tf.data.Dataset.from_tensor_slices((ends - counts, ends)).shuffle(len(counts), seed=seed)
    numbers = ranges.interleave(tf.data.Dataset.range, cycle_length=min(16, len(counts)), block_length=4)
    shuffled = numbers.shuffle(records.config.data.shuffle_buffer, seed=seed).batch(10_000)
    return np.concatenate([*shuffled.as_numpy_iterator()])[:total]


def _read_bytes() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


WORKERS = {one.__name__: one for one in (start, first_batch, epoch, steps, mixing)}


def measure(worker: str, folder: Path, arguments: argparse.Namespace, **flags: Any) -> dict[str, Any]:
    """Run a worker in a process of its own and return its result."""
    flags = {"batch-size": arguments.batch_size, "folder": folder, "worker": worker, **flags}
    command = [sys.executable, sys.argv[0], *(f"--{key}={value}" for key, value in flags.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{worker} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{worker} {flags.get('order', '')}: {found}", file=sys.stderr, flush=True)
    return found


def measure_all(folder: Path, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, and return the numbers."""
    count = arguments.processes
    results: dict[str, Any] = {"start": [measure("start", folder, arguments) for _ in range(2)]}
    for order in ("blocks", "buffer"):
        firsts = [measure("first_batch", folder, arguments, order=order, place=place) for place in PLACES]
        shares = [measure("epoch", folder, arguments, order=order, processes=count, index=index)
                  for index in range(count if order == "blocks" else 1)]  # fmt: skip
        counts = (1, 2, 4) if order == "blocks" else ()
        same = [measure("steps", folder, arguments, order=order, processes=n) for n in counts]
        results[order] = {
            "first_batch": firsts,
            "epoch": shares,
            "read": [share["bytes"] / (size / count) for share in shares],
            "same_images": all(one == same[0] for one in same) if same else None,
            "mixing": measure("mixing", folder, arguments, order=order),
        }
    return results


def main() -> None:
    """Link the shards, measure, print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", metavar="RECORDS", help="records of a small set")
    parser.add_argument("--records", type=int, default=1_200_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--scratch", type=Path, help="folder for temporary links")
    parser.add_argument("--json", type=Path, help="file for the result")
    for name, kind in (("worker", str), ("folder", Path), ("order", str), ("place", float), ("index", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.order = arguments.order or "blocks"
    if arguments.worker:
        run_worker(WORKERS, arguments)
        return
    if arguments.source is None:
        parser.error("RECORDS is missing: a folder that `mnasnet prepare-imagenet` has written")
    use_toolkit()
    before = machine()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name) / "records"
        count = link_shards(arguments.source, folder, arguments.records)
        size = sum(path.stat().st_size for path in folder.glob("train-*"))
        results = measure_all(folder, size, arguments)
    text = json.dumps({"records": count, "bytes": size, "machine": before, **results}, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
