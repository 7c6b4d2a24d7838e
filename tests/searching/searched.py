"""Plans of searches and results of tasks that need no training: every score is a function of the task."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.nets.spec import multiply_adds
from mnasnet_cli.searching.execution import Workplace
from mnasnet_cli.searching.nets.space import draw, net_of
from mnasnet_cli.searching.plan import PhoneNet, Plan, table_of
from mnasnet_cli.searching.scheduler import SearchState, replay
from mnasnet_cli.searching.tasks import Task

CLASSES, SIZE = 4, 32


def phone_nets() -> tuple[PhoneNet, ...]:
    """Nets of a phone whose latency is their multiply-adds."""
    nets = []
    for number in range(20):
        spec = net_of(draw(random.Random(number), [SIZE]), 0.35 + 0.05 * number)
        nets.append(PhoneNet(table_of(spec, f"net-{number}"), SIZE, multiply_adds(spec, SIZE, CLASSES) / 2e6))
    return tuple(nets)


def make_plan(**changes: Any) -> Plan:
    """A plan for a phone, so that nothing is measured here."""
    config = load_config("quick", settings={"data.image_size": SIZE, "data.eval_scale": 1.0})
    settings: dict[str, Any] = {
        "data": "data/shapes", "fingerprint": "f" * 8, "classes": CLASSES, "train_images": 480, "limits_ms": (4.0,),
        "threads": 1, "int8": False, "image_sizes": (SIZE,), "recipe": "quick", "assignments": (), "seed": 0,
        "config": config.model_dump(mode="json"),
        "candidates": 6, "budget_seconds": None, "init": None, "init_digest": None, "device": "a phone",
        "phone_nets": phone_nets(),
    }  # fmt: skip
    return Plan(**{**settings, **changes})


def result_of(task: Task, plan: Plan | None = None, place: Workplace | None = None) -> dict[str, Any]:
    """The result of a task, a function of its key."""
    number = int.from_bytes(hashlib.sha256(task.key.encode()).digest()[:4]) / 2**32
    if task.kind == "train":
        last = task.payload["last"]
        score = 0.3 + 0.1 * task.payload["rung"] + 0.1 * number
        return {"score": score, "validation": score - 0.02 if last else None, "diverged": False, "seconds": 60.0}
    if task.kind == "time":
        return {"by_rung": [10.0, 20.0, 60.0], "seconds": 30.0}
    costs = [multiply_adds_of(net) for net in task.payload["nets"]]
    return {"ms": [cost / 2e6 for cost in costs], "busy": 1.0, "seconds": 5.0}


def multiply_adds_of(net: dict[str, Any]) -> int:
    """Of a net of a measuring task."""
    from mnasnet_cli.config.net_table import NetTable

    return multiply_adds(NetTable.model_validate(net["table"]).spec, net["input_size"], CLASSES)


def to_the_end(plan: Plan, found: dict[str, Any] | None = None) -> tuple[SearchState, dict[str, Any]]:
    """The state with all results, and the results."""
    made: list[Any] = []
    found = {} if found is None else found
    while (state := replay(plan, found, made)).tasks:
        for task in state.tasks:
            found[task.key] = result_of(task)
    return state, found


def write_phone_results(folder: Path, count: int = 20, **metadata: Any) -> Path:
    """A folder as the script of --android leaves it: models.json, and the output of benchmark_model for each net."""
    models: dict[str, Any] = {}
    (folder / "results" / "round-1").mkdir(parents=True)
    for number, net in enumerate(phone_nets()[:count]):
        name = f"net-{number:02d}"
        models[name] = {"name": name, "net": net.table, "image_size": SIZE, "classes": CLASSES, "format": "tflite",
                        "file_mb": 1.0, **metadata}  # fmt: skip
        times = f"Init: 9, First inference: 9, Warmup (avg): 9, Inference (avg): {1e3 * net.ms:.3f}"
        (folder / "results" / "round-1" / f"{name}.txt").write_text(f"INFO: Inference timings in us: {times}\n")
    (folder / "models.json").write_text(json.dumps({"threads": 1, "models": models}))
    (folder / "results" / "device.txt").write_text("ro.product.manufacturer=Acme\nro.product.model=Phone 5\n")
    return folder


def workplace(folder: Path) -> Workplace:
    """A place whose folder a search may use."""
    folder.mkdir(parents=True, exist_ok=True)
    return Workplace(folder, folder / "data")
