"""Latencies of a phone: a folder of nets to measure there, and the reader of the results."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.console import progress
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.latency.android import device_name, read_android_results, write_android_folder
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.spec import NETS, count_parameters, multiply_adds
from mnasnet_cli.searching.execution import NETS_OF_A_PROCESS
from mnasnet_cli.searching.latency import measuring
from mnasnet_cli.searching.nets.entrants import STOCK
from mnasnet_cli.searching.nets.space import draw, net_of
from mnasnet_cli.searching.plan import PhoneNet, Plan, table_of
from mnasnet_cli.searching.processes import run_in_process
from mnasnet_cli.system.documents import JsonObject, validate
from mnasnet_cli.system.files import temporary_folder

DRAWN_NETS = 26
WIDTHS = (0.35, 1.4)
"""Between which the widths of the drawn nets lie, evenly by their logarithms."""
CALLS, ROUNDS = 50, 3
MIN_NETS = 15


class _Measured(TypedDict):
    """A net in the results of a phone."""

    net: JsonObject
    image_size: Annotated[int, Field(ge=1)]
    p50_ms: Annotated[float, Field(gt=0)]


def write_phone_nets(plan: Plan, folder: Path) -> list[Path]:
    """Write some thirty nets as TFLite files, with the script that measures them on a phone; return the files."""
    nets = _nets(plan)
    models: list[tuple[Path, dict[str, Any]]] = []
    with temporary_folder() as temporary, progress("convert", len(nets), unit="nets") as bar:
        for start in range(0, len(nets), NETS_OF_A_PROCESS):
            chunk = nets[start : start + NETS_OF_A_PROCESS]
            tables = [(table_of(spec, f"net-{start + number:02d}"), size) for number, (spec, size) in enumerate(chunk)]
            place = temporary / str(start)
            files = run_in_process(measuring.convert_nets, tables, plan.classes, plan.int8, place, name="a conversion")
            for file, (table, size), (spec, _) in zip(files, tables, chunk, strict=True):
                metadata = {
                    "name": table["name"],
                    "net": table,
                    "image_size": size,
                    "classes": plan.classes,
                    "format": plan.format,
                    "multiply_adds": multiply_adds(spec, size, plan.classes),
                    "params": count_parameters(spec, plan.classes),
                }
                models.append((file, metadata))
            bar.update(start + len(chunk))
        return write_android_folder(folder, models, threads=plan.threads, runs=CALLS, rounds=ROUNDS)


def _nets(plan: Plan) -> list[tuple[NetSpec, int]]:
    """Return the nets, each with the side of its input in px: all stock nets, and draws of many widths."""
    sizes = plan.image_sizes
    nets = [(NETS[name], plan.input_size(sizes[0])) for name in STOCK]
    generator = random.Random(f"{plan.seed} phone")
    for number in range(DRAWN_NETS):
        genes = draw(generator, [sizes[number % len(sizes)]])
        width = WIDTHS[0] * (WIDTHS[1] / WIDTHS[0]) ** (number / (DRAWN_NETS - 1))
        nets.append((net_of(genes, width), plan.input_size(genes.image_size)))
    return nets


def read_phone_nets(path: Path, plan: Plan) -> tuple[str, tuple[PhoneNet, ...]]:
    """Return the name of a phone and the nets that were measured there.

    Raises:
      DataError: there are no results, or too few.
      ConfigError: they are of other image sizes, classes or threads, or of another format than the search.
    """
    results = read_android_results(path)
    rows = [row for row in results["rows"] if "net" in row]
    if len(rows) < MIN_NETS:
        raise DataError(
            f"{path} holds the results of {len(rows)} nets of a search, expected at least {MIN_NETS}; write the folder "
            "with `mnasnet search --android DIR` and run its script"
        )
    nets = []
    for row in rows:
        for what, here in (("classes", plan.classes), ("format", plan.format), ("threads", plan.threads)):
            if row.get(what) != here:
                raise ConfigError(
                    f"{path} was measured with {what} {row.get(what)}, but this search has {what} {here}; write it "
                    "again with `mnasnet search --android DIR` and the flags of this search"
                )
        source = f"{path}, the net {row['name']}"
        found = validate(row, _Measured, source)
        table = validate(found["net"], NetTable, source).model_dump(mode="json")
        nets.append(PhoneNet(table, found["image_size"], found["p50_ms"]))
    measured = {one.input_size for one in nets}
    for size in plan.image_sizes:
        if plan.input_size(size) not in measured:
            raise ConfigError(
                f"{path} has no nets for an input of {plan.input_size(size)} px; write it again with this --image-size"
            )
    return device_name(results["device"]), tuple(nets)
