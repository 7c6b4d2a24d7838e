"""What the training commands share: from flags to a configuration and a run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.config import Config, load_config
from mnasnet_cli.errors import CheckpointError


def resolve_run(
    task: str,
    *,
    default_config: str,
    config: str | None,
    assignments: list[str] | None,
    flags: Mapping[str, Any],
    run_dir: Path | None,
    fresh: bool,
    init: str | None = None,
) -> tuple[Config, Path]:
    """The configuration and the directory of a run.

    Where the directory already holds a run, and no other --config is asked for, its own configuration is what flags
    and --set change: the bare command goes on with what was begun. Variant and width are those of `init` unless they
    are asked for.
    """
    from mnasnet_cli.training.run_directory import read_config

    assignments = [*(_net_of(init) if init else ()), *(assignments or ())]
    asked = load_config(config or default_config, task=task, assignments=assignments, flags=flags)
    run_dir = run_dir or Path("runs") / f"{task}-{asked.model.variant}"
    before = None if config or fresh else read_config(run_dir)
    if before is not None:
        name = str(run_dir / "config.yaml")
        asked = load_config(base=before, base_name=name, task=task, assignments=assignments, flags=flags)
    return asked, run_dir


def _net_of(model: str) -> list[str]:
    """The variant and the width of a trained model, as --set has them.

    Raises:
      CheckpointError: nothing can be trained from it; an artifact's batch norms are folded into its kernels.
    """
    from mnasnet_cli.artifacts.manifest import read_manifest
    from mnasnet_cli.artifacts.runner import recognise
    from mnasnet_cli.training.checkpoints import find_checkpoint, read_info

    form, place = recognise(model)
    if form != "checkpoint":
        source = read_manifest(place).source
        raise CheckpointError(f"{model} is an exported artifact ({form}); start from what it was made of, {source}")

    info = read_info(find_checkpoint(model))
    return [f"model.variant={info['variant']}", f"model.width={info['width']}"]


def run_and_show(
    settings: Config, data: Path | None, run_dir: Path, *, fresh: bool, init: str | None, json_output: bool
) -> None:
    """Trains, or goes on training, and prints the results."""
    from mnasnet_cli.training.run import train_or_start_again

    results = train_or_start_again(settings, data or Path("data") / settings.task, run_dir, fresh=fresh, init=init)
    if json_output:
        console.emit_json({"run_dir": str(run_dir), **results})
        return
    rows = [(key, value) for key, value in results.items() if not isinstance(value, list)]
    console.print_table(f"Results of {run_dir}", ["", "value"], rows)
