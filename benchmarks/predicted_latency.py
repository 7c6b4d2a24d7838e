"""Compare the latencies that `mnasnet search` predicts with measured ones, for nets that it has not seen.

    python benchmarks/predicted_latency.py [--int8] [--image-size 128] [--nets 20] [--from-ms 1.5] [--to-ms 6]
                                           [--seed 0]

The parts of nets and 18 whole nets are measured as a search measures them. Then nets are drawn with other seeds,
each at a width for another latency between --from-ms and --to-ms, and measured twice: the second measurement shows the
noise. Nothing is trained. Latencies are processor time of one thread, in ms; the machine should be quiet.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, use_toolkit


def plan_of(arguments: argparse.Namespace) -> Any:
    """Return the plan of a search whose nets take images of --image-size."""
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.searching.plan import Plan

    assignments = ("data.eval_scale=1",)
    return Plan(
        data="", fingerprint="", classes=arguments.classes, train_images=10_000,
        limits_ms=tuple(np.geomspace(arguments.from_ms, arguments.to_ms, 3)), threads=1, int8=arguments.int8,
        image_sizes=(arguments.image_size,), recipe="quick", assignments=assignments,
        config=load_config("quick", assignments=assignments).model_dump(mode="json"),
        seed=0, candidates=2, budget_seconds=None, init=None, init_digest=None, device="this machine",
    )  # fmt: skip


def calibrate(plan: Any, place: Any) -> Any:
    """Measure what predictions need, and return the predictor."""
    from mnasnet_cli.searching.calibration import predictor_of
    from mnasnet_cli.searching.execution import perform
    from mnasnet_cli.searching.tasks import Pending

    found: dict[str, Any] = {}
    while True:
        try:
            return predictor_of(plan, found)
        except Pending as pending:
            for task in pending.tasks:
                print(f"measuring {task.key}", file=sys.stderr, flush=True)
                found[task.key] = perform(task, plan, place)


def fresh_nets(plan: Any, predict: Any, arguments: argparse.Namespace) -> list[Any]:
    """Return nets of the space at widths for latencies between the two limits."""
    from mnasnet_cli.searching.nets.solving import solve_width
    from mnasnet_cli.searching.nets.space import draw, net_of

    size = plan.input_size(arguments.image_size)
    limits = np.geomspace(arguments.from_ms, arguments.to_ms, arguments.nets).tolist()
    nets: list[Any] = []
    for number, limit in enumerate(limits):
        generator = random.Random(f"fresh {arguments.seed} {number}")
        while len(nets) == number:
            genes = draw(generator, plan.image_sizes)
            solved = solve_width(lambda width: net_of(genes, width), lambda spec: predict(spec, size), limit)  # noqa: B023
            if solved is not None:
                nets.append(solved.spec)
    return nets


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's correlation."""
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


def print_tables(predicted: np.ndarray, measured: list[np.ndarray], products: np.ndarray) -> None:
    """Print each net and a summary. predicted: [N] ms; measured: twice [N] ms; products: multiply-adds [N]."""
    print("\n| net | predicted, ms | measured, ms | again, ms | error |\n|---|---|---|---|---|")
    for number, (first, second, third) in enumerate(zip(predicted, *measured, strict=True)):
        print(f"| {number} | {first:.2f} | {second:.2f} | {third:.2f} | {100 * (first / second - 1):+.1f} % |")
    by_products = products * np.exp(np.mean(np.log(measured[0] / products)))  # the best constant, known afterwards
    print("\n| | mean error | Spearman |\n|---|---|---|")
    for name, values in (("table of parts", predicted), ("multiply-adds times the best constant", by_products),
                         ("the second measurement", measured[1])):  # fmt: skip
        error = 100 * float(np.mean(np.abs(values / measured[0] - 1)))
        print(f"| {name} | {error:.1f} % | {rank_correlation(values, measured[0]):.3f} |")


def main() -> None:
    """Measure, predict, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--image-size", type=int, default=128, help="side of the input, px")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--nets", type=int, default=20)
    parser.add_argument("--from-ms", type=float, default=1.5)
    parser.add_argument("--to-ms", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0, help="draws other nets")
    arguments = parser.parse_args()
    use_toolkit()
    from mnasnet_cli.nets.spec import multiply_adds
    from mnasnet_cli.searching.calibration import measuring_task
    from mnasnet_cli.searching.execution import Workplace, perform
    from mnasnet_cli.searching.plan import table_of

    plan = plan_of(arguments)
    size = plan.input_size(arguments.image_size)
    with tempfile.TemporaryDirectory(prefix="mnasnet-") as folder:
        place = Workplace(Path(folder), Path(folder))
        predict = calibrate(plan, place)
        nets = fresh_nets(plan, predict, arguments)
        rows = [{"table": table_of(spec, f"fresh-{number}"), "input_size": size} for number, spec in enumerate(nets)]
        measured, busy = [], 0.0
        for turn in ("fresh", "again"):
            print(f"measuring {len(nets)} nets: {turn}", file=sys.stderr, flush=True)
            result = perform(measuring_task(plan, turn, rows), plan, place)
            reference, *latencies = result["ms"]
            # As in a search: at the speed that the machine had when the scales were measured.
            measured.append(np.array(latencies) * predict.reference_ms / reference)
            busy = max(busy, result["busy"])
    predicted = np.array([predict(spec, size) for spec in nets])
    products = np.array([multiply_adds(spec, size, arguments.classes) for spec in nets])
    cpu = machine()["cpu"]
    print(f"{cpu}; {'int8' if arguments.int8 else 'float'}, {size} px; clock over processor time {busy:.2f}")
    print_tables(predicted, measured, products)


if __name__ == "__main__":
    main()
