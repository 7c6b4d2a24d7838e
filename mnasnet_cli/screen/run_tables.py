"""Tables of a run: its configuration and its state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.config.net_table import net_label
from mnasnet_cli.console import percent

PERCENTAGES = ("top1", "top5", "AP", "AR")  # keys, or the first letters of keys, that hold fractions


def print_run(found: Mapping[str, Any]) -> None:
    """Print configuration and state of a run, from `runs.describe.describe_run`."""
    settings = setting_rows(_shorten_table(found["config"] or {}))
    shown = [(key, value) for key, value in settings if value != "null"]
    caption = f"{console.plural(len(settings) - len(shown), 'key')} without a value left out; --json has all"
    console.print_table(f"Configuration of {found['path']}", ("key", "value"), shown, caption=caption)
    train, validation = (found["last"][split] or {} for split in ("train", "validation"))
    keys = [key for key in {**train, **validation} if key != "split"]
    rows = [(key, *(_number(key, last[key]) if key in last else "" for last in (train, validation))) for key in keys]
    if rows:
        console.print_table("Last numbers", ("", "training", "validation"), rows)
    files = [("checkpoint", prefix) for prefix in found["checkpoints"]]
    files += [("best checkpoint", found["best"])] if found["best"] else []
    state = "finished" if found["results"] is not None else "not finished; the same command continues it"
    console.print_table("State", ("", "value"), [("run", state), *files])


def _shorten_table(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration with the label of a net of one's own in place of its table."""
    model = config.get("model")
    if not isinstance(model, Mapping) or not model.get("table"):
        return config
    return {**config, "model": {**model, "table": net_label({"variant": "damaged", **model})}}


def setting_rows(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return each setting as a row: its dotted key and its value as --set takes it."""
    rows: list[tuple[str, str]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        rows += setting_rows(value, f"{key}.") if isinstance(value, Mapping) else [(key, setting_text(value))]
    return rows


def setting_text(value: Any) -> str:
    """Return a value as YAML and --set write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(key: str, value: Any) -> str:
    if value is None:
        return "n/a"
    if key.startswith(PERCENTAGES):
        return percent(value)
    if key in ("seconds", "cpu_seconds"):
        return console.duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def print_net(found: Mapping[str, Any]) -> None:
    """Print the table of a net, as `modules.info.describe_net` returns it: its blocks and its cost."""
    taps = {layer: f"1/{stride}" for stride, layer in found["taps"].items()}
    columns = ("layer", "kernel", "stride", "channels", "expanded", "SE", "skip", "px", "taps")  # 80 wide
    keys = ("layer", "kernel", "stride", "out_channels", "expanded_channels", "squeeze_channels")
    rows = [
        (*(one[key] for key in keys), "yes" if one["has_skip"] else "", one["out_size"], taps.get(one["layer"], ""))
        for one in found["layers"]
    ]
    caption = "\n".join(
        [
            f"stem: {found['table']['stem']:,} channels, head: {found['table']['head']:,}",
            f"{found['params']:,} parameters for 1,000 classes",
            f"{found['multiply_adds'] / 1e6:.1f} M multiply-adds at {found['image_size']} px",
            "SE: channels of squeeze-excite, 0 without",
            "taps: where a detector takes its features, and their size relative to the image's",
        ]
    )
    console.print_table(f"Net {found['name']} ({found['digest'][:8]})", columns, rows, caption=caption)
