"""`mnasnet doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag
from mnasnet_cli.system import machine


def doctor(json_output: JsonFlag = False) -> None:
    """Show versions, devices, memory, CPU features and free disk of this machine, and what to fix."""
    if not json_output:
        console.begin("starting TensorFlow")
    found = machine.describe()
    if json_output:
        console.emit_json(found)
        return
    console.print_table("This machine", ("property", "value"), rows(found))
    problems = found["mend"]
    if problems:
        console.print_table("Problems", ("", "what to do"), list(enumerate(problems, 1)))
    else:
        console.say("no problems found")


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the table for the result of `machine.describe`."""
    tensorflow, cpu, memory = found["tensorflow"], found["cpu"], found["memory_gb"]
    devices = [str(device["name"]) for device in tensorflow.get("devices", [])]
    threads = tensorflow.get("threads", {})
    listed = [
        ("system", found["system"]),
        ("processor", f"{cpu['name']}, {console.plural(cpu['cores'], 'core')}"),
        ("CPU features", " ".join(cpu["features"])),
        ("memory", f"{memory['available'] or '?'} GB available of {memory['total'] or '?'} GB"),
        ("free disk here", f"{found['disk_free_gb']} GB"),
        ("TensorFlow devices", ", ".join(devices) or f"none: {tensorflow['error']}"),
        ("TensorFlow threads", ", ".join(f"{key} {value or 'automatic'}" for key, value in threads.items())),
    ]
    listed += [(name, value) for name, value in found["environment"].items()]
    optional = machine.OPTIONAL
    listed += [
        (name, version or ("not installed (optional)" if name in optional else "not installed"))
        for name, version in found["versions"].items()
    ]
    return [row for row in listed if row[1]]
