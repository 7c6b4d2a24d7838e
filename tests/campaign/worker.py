"""A process that tries faults: it forks a child for each command. It reads faults from standard input, one a line."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/campaign")]


def kinds() -> dict[str, ModuleType]:
    """Return the module of each kind of fault."""
    import kinds_chains
    import kinds_damage
    import kinds_hostile
    import kinds_interrupts
    import kinds_limits
    import kinds_workers

    found: dict[str, ModuleType] = {kinds_damage.KIND: kinds_damage, kinds_chains.KIND: kinds_chains}
    found[kinds_workers.KIND] = kinds_workers
    found |= dict.fromkeys(kinds_interrupts.COUNTS, kinds_interrupts)
    found |= dict.fromkeys(kinds_hostile.COUNTS, kinds_hostile)
    return found | dict.fromkeys(kinds_limits.COUNTS, kinds_limits)


def warm_up(tensorflow: bool) -> None:
    """Import what commands import, so that the children need not."""
    import data_prep
    import mnasnet_cli
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    os.environ["MPLBACKEND"] = "agg"
    if tensorflow:
        os.environ["CAMPAIGN_WARM"] = "1"
        import tensorflow as tf  # noqa: F401
    for name in (
        "numpy",
        "PIL.Image",
        "rich.table",
        "rich.progress",
        "typer",
        "yaml",
        "matplotlib.figure",
        "pycocotools.coco",
    ):
        importlib.import_module(name)
    if tensorflow:
        for package in (mnasnet_cli, data_prep):
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                if "integrations" not in module.name and not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
    else:
        for name in ("mnasnet_cli.app", "mnasnet_cli.commands.prepare", "mnasnet_cli.commands.report"):
            importlib.import_module(name)
    from tiny_net import TINY_DETECTORS, TINY_NETS

    from mnasnet_cli.nets.detector_spec import DETECTORS
    from mnasnet_cli.nets.spec import NETS

    NETS.update(TINY_NETS)
    DETECTORS.update(TINY_DETECTORS)


def main() -> None:
    """Serve until standard input ends. Results go to a copy of standard output, which children don't have."""
    import json

    work, warm = Path(sys.argv[1]), sys.argv[2] == "warm"
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    warm_up(warm)
    import child
    from commands import make_inputs, make_models, measure, read_reference
    from fault import Fault, Result
    from kinds_limits import Skip

    template = work / "template"
    print("ready", file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        if "build" in request:
            make_inputs(template)
            make_models(template, request["build"] == "quick")
            print(json.dumps("built"), file=replies)
            continue
        if "measure" in request:
            print(json.dumps(measure(template, request["measure"])), file=replies)
            continue
        if "chain" in request:
            import kinds_chains

            name = request["chain"]
            print(json.dumps(kinds_chains.measure(name, template, work / "reference" / f"chain-{name}")), file=replies)
            continue
        if "pair" in request:
            import kinds_workers

            print(json.dumps(kinds_workers.measure(template, work / "reference/pair")), file=replies)
            continue
        fault = Fault(**request)
        began = time.monotonic()
        child.history.clear()
        place = work / "places" / fault.name.replace("/", "_").replace(" ", "-")
        result = Result(fault.name, fault.kind, [])
        try:
            result.problems = kinds()[fault.kind].run(fault, template, place, read_reference(template))
        except Skip as reason:
            result.skipped = str(reason)
        except Exception:
            result.problems = [f"the campaign itself failed: {traceback.format_exc()}"]
        result.runs = child.history if result.problems else []
        result.seconds = time.monotonic() - began
        if not result.problems:
            shutil.rmtree(place, ignore_errors=True)
        print(json.dumps(asdict(result) | {"how": fault.how}), file=replies)


if __name__ == "__main__":
    main()
