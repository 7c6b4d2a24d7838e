"""What is measured for the predictions of latencies: parts of nets, and whole nets for the scale of their sum."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.searching.latency.parts import measured_parts
from mnasnet_cli.searching.latency.predictors import PartsTable, Predictor, RegressionPredictor, TablePredictor
from mnasnet_cli.searching.nets.entrants import covering_nets
from mnasnet_cli.searching.nets.solving import solve_width
from mnasnet_cli.searching.nets.space import draw, net_of
from mnasnet_cli.searching.plan import Plan, table_of
from mnasnet_cli.searching.tasks import Task, keyed_task, need

PARTS_OF_A_TASK = 48
SCALE_NETS = 18
"""Whole nets that the scales of the table come from, at least."""
REFERENCE = ("b1", 0.5)
"""Measured with every group of nets: the speed of the machine may change between two groups."""


def predictor_of(plan: Plan, found: Mapping[str, Any]) -> Predictor:
    """Return what predicts latencies: a regression on the phone's, or the table of parts measured here.

    Raises:
      Pending: the parts or the whole nets have not been measured yet.
    """
    if plan.phone_nets:
        nets = [(NetTable.model_validate(one.table).spec, one.input_size, one.ms) for one in plan.phone_nets]
        return RegressionPredictor(nets, plan.classes)
    parts = measured_parts(covering_nets(plan))
    chunks = [parts[start : start + PARTS_OF_A_TASK] for start in range(0, len(parts), PARTS_OF_A_TASK)]
    tasks = [
        keyed_task(f"parts-{number:02d}", "parts", {"parts": [dataclasses.asdict(part) for part in chunk]})
        for number, chunk in enumerate(chunks)
    ]
    results = need(found, tasks)
    latencies = [latency for result in results for latency in result["ms"]]
    table = PartsTable(list(zip(parts, latencies, strict=True)), plan.classes)
    whole = _scale_nets(plan, table)
    (result,) = need(found, [measuring_task(plan, "scale", whole)])
    measured = [
        (NetTable.model_validate(net["table"]).spec, net["input_size"], latency)
        for net, latency in zip(whole, result["ms"][1:], strict=True)
    ]
    return TablePredictor(table, measured, result["ms"][0])


def _scale_nets(plan: Plan, table: PartsTable) -> list[dict[str, Any]]:
    """Return whole nets about as slow as the limits, from which the scales of the table come."""
    nets = []
    for number in range(max(SCALE_NETS, 6 * len(plan.limits_ms))):
        generator = random.Random(f"{plan.seed} scale {number}")
        genes = draw(generator, plan.image_sizes)
        size, limit = plan.input_size(genes.image_size), plan.limits_ms[number % len(plan.limits_ms)]
        # The sum of the parts is about a fifth too low.
        solved = solve_width(
            lambda width: net_of(genes, width),  # noqa: B023
            lambda spec: float(table.by_stage(spec, size).sum()),  # noqa: B023
            0.8 * limit,
        )
        spec = solved.spec if solved else net_of(genes, 0.1)
        nets.append({"table": table_of(spec, f"scale-{number}"), "input_size": size})
    return nets


def measuring_task(plan: Plan, label: str, nets: list[dict[str, Any]]) -> Task:
    """Return the task that measures whole nets after the reference net."""
    name, width = REFERENCE
    reference = {
        "table": table_of(get_spec(name, width), "reference"),
        "input_size": plan.input_size(plan.image_sizes[0]),
    }
    return keyed_task(f"nets-{label}", "nets", {"nets": [reference, *nets]})
