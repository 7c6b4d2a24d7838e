"""Compare our TFLite files, float and int8, with torchvision's `mnasnet1_0` under ONNX Runtime on one thread.

    python benchmarks/latency.py [--image-size 224] [--variant b1] [--rounds 100] [--runs 12]
                                 [--peer-python PYTHON] [--json FILE]

The nets have random weights, which take the same time as trained ones. Each program is one process, and runs one image
`--runs` times per round. The rounds are short and in random order, so that the load of the machine affects all programs
alike. torchvision's net is exported by `torch.onnx` with folded batch norms, and runs with all optimizations of ONNX
Runtime. The interpreter of `--peer-python` needs torch, torchvision, onnx and onnxruntime.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import import_torch, machine, parser_with_rounds, use_toolkit

TARGET_FLOAT = 1.05  # at most this part of torchvision's time
TARGET_INT8 = 0.5  # at most this part of the float file's time
WARM_UP = 10
PROGRAMS = {"float": "mnasnet {variant}, TFLite float", "int8": "mnasnet {variant}, TFLite int8",
            "torchvision": "torchvision mnasnet1_0, ONNX Runtime"}  # fmt: skip


def ours(arguments: argparse.Namespace, scratch: Path, *, int8: bool) -> tuple[Callable[[], object], str]:
    """Convert the variant; return a function that runs one inference, and the versions."""
    use_toolkit()
    import importlib.metadata

    import numpy as np

    from mnasnet_cli.inference.runner import open_model
    from mnasnet_cli.latency.variants import convert_variant

    size = arguments.image_size
    path = convert_variant(arguments.variant, 1.0, size, scratch, int8=int8)
    runner = open_model(str(path), threads=1)
    image = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    return runner.inference_call(image), f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"


def torchvision_net(arguments: argparse.Namespace, scratch: Path) -> tuple[Callable[[], object], str]:
    """Export torchvision's net; return a function that runs one inference, and the versions."""
    torch, models, onnxruntime = import_torch("torch", "torchvision.models", "onnxruntime")
    size = arguments.image_size
    net = models.mnasnet1_0(weights=None, num_classes=1000).eval()
    image = torch.randn(1, 3, size, size)
    path = scratch / "mnasnet1_0.onnx"
    torch.onnx.export(net, (image,), str(path), dynamo=False, opset_version=17, do_constant_folding=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, feed), f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"


WORKERS: dict[str, Callable[[argparse.Namespace, Path], tuple[Callable[[], object], str]]] = {
    "float": lambda arguments, scratch: ours(arguments, scratch, int8=False),
    "int8": lambda arguments, scratch: ours(arguments, scratch, int8=True),
    "torchvision": torchvision_net,
}


def work(arguments: argparse.Namespace) -> None:
    """Measure one program: each line on standard input requests a round; the answer is a line of JSON."""
    with tempfile.TemporaryDirectory(prefix="mnasnet-") as scratch:
        call, versions = WORKERS[arguments.worker](arguments, Path(scratch))
        for _ in range(WARM_UP):
            call()
        print(json.dumps({"versions": versions}), flush=True)
        for _ in sys.stdin:
            call()  # uncounted: the caches are cold after a pause
            times = []
            for _ in range(arguments.runs):
                began = time.perf_counter()
                call()
                times.append((time.perf_counter() - began) * 1e3)
            print(json.dumps({"ms": times}), flush=True)


class Worker:
    """The process of one program."""

    def __init__(self, name: str, python: str, flags: list[str]) -> None:
        command = [python, sys.argv[0], "--worker", name, *flags]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.times, self.versions = name, list[list[float]](), ""

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return dict(json.loads(line))
        raise SystemExit(f"the process of {self.name} ended with exit code {self._process.wait()}")

    def wait_until_ready(self) -> None:
        """Wait until the net is loaded and warmed up."""
        self.versions = self._answer()["versions"]

    def measure(self) -> None:
        """Measure one round."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.times.append(self._answer()["ms"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @property
    def medians(self) -> list[float]:
        """Median of each round in ms."""
        return [statistics.median(times) for times in self.times]


def main() -> None:
    """Measure, print the table, write JSON."""
    parser = parser_with_rounds(__doc__ or "", rounds=100)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--variant", default="b1")
    parser.add_argument("--runs", type=int, default=12, help="inferences per program and round")
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments)
    use_toolkit()
    before = machine()
    flags = [f"--image-size={arguments.image_size}", f"--variant={arguments.variant}", f"--runs={arguments.runs}"]
    workers = [
        Worker(name, arguments.peer_python if name == "torchvision" else sys.executable, flags) for name in PROGRAMS
    ]
    for worker in workers:
        worker.wait_until_ready()
    order = random.Random(0)
    for number in range(1, arguments.rounds + 1):
        for worker in order.sample(workers, len(workers)):
            worker.measure()
        if number % 10 == 0:
            shown = ", ".join(f"{worker.name} {worker.medians[-1]:.2f} ms" for worker in workers)
            print(f"round {number} of {arguments.rounds}: {shown}", file=sys.stderr, flush=True)
    for worker in workers:
        worker.close()
    show(workers, arguments, before)


def show(workers: list[Worker], arguments: argparse.Namespace, before: dict[str, Any]) -> None:
    """Print the table and write JSON. A ratio is the median of the ratios within each round."""
    from mnasnet_cli.console import print_table

    medians = {worker.name: worker.medians for worker in workers}

    def ratio(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(medians[name], medians[other], strict=True))

    rows = [
        (
            PROGRAMS[worker.name].format(variant=arguments.variant),
            f"{statistics.median(itertools.chain(*worker.times)):.2f}",
            f"{min(worker.medians):.2f}–{max(worker.medians):.2f}",
            f"{ratio(worker.name, 'torchvision'):.2f}×",
        )
        for worker in workers
    ]
    float_ratio, int8_ratio = ratio("float", "torchvision"), ratio("int8", "float")
    caption = (
        f"{before['cpu']}, {before['cores']} cores, load average {before['load_average']} before the first round\n"
        f"float {float_ratio:.3f}× torchvision (target: at most {TARGET_FLOAT}×), "
        f"int8 {int8_ratio:.3f}× float (target: at most {TARGET_INT8}×)"
    )
    title = f"One image of {arguments.image_size} px, one thread"
    print_table(title, ["program", "ms, median", "rounds", "relative to torchvision"], rows, caption=caption)
    if arguments.json:
        result = {
            "title": title,
            "conditions": {key: getattr(arguments, key) for key in ("image_size", "variant", "runs", "rounds")},
            "machine": before,
            "versions": {worker.name: worker.versions for worker in workers},
            "medians_ms": {name: statistics.median(values) for name, values in medians.items()},
            "rounds_ms": medians,
            "float_beside_torchvision": float_ratio,
            "int8_beside_float": int8_ratio,
            "wanted": {"float_beside_torchvision": TARGET_FLOAT, "int8_beside_float": TARGET_INT8},
        }
        arguments.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
