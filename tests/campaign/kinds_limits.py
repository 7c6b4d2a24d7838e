"""Faults of the machine: a full, read-only or inode-less disk, few file descriptors, little memory, lost streams."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import kinds_interrupts
from commands import COMMANDS, lay_out, words_of
from fault import Fault

COUNTS = {
    "full disk": ((5, 1), (1, 0)),
    "read-only disk": ((1, 0.5), (0, 0)),
    "no inodes": ((2, 0.5), (0, 0)),
    "few file descriptors": ((3, 0.5), (1, 0)),
    "little memory": ((3, 0), (1, 0)),
    "lost stream": ((4, 0.5), (1, 0)),
}
STREAMS = ({"out": "closed"}, {"err": "closed"}, {"out": "/dev/full"}, {"err": "/dev/full"})


class Skip(Exception):
    """The fault can't be tried on this machine."""


def make(reference: dict[str, dict[str, Any]], quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield the faults of all kinds for all commands that write."""
    for kind, counts in COUNTS.items():
        for name, command in COMMANDS.items():
            if "skipped" in reference.get(name, {"skipped": ""}):
                continue
            for number in range(kinds_interrupts.drawn(counts[quick][command.warm], rng)):
                how: dict[str, Any] = {}
                if kind == "full disk":
                    how = {
                        "options": f"size={4096 * max(1, int(reference[name]['bytes'] * rng.uniform(0, 0.95)) // 4096)}"
                    }
                elif kind == "no inodes":
                    how = {"options": f"nr_inodes={rng.randint(2, max(2, len(reference[name]['files'])))}"}
                elif kind == "few file descriptors":
                    how = {"limits": {"RLIMIT_NOFILE": rng.randint(4, 24)}}
                elif kind == "little memory":
                    how = {"limits": {"RLIMIT_AS": int(10 ** rng.uniform(6, 8))}}
                elif kind == "lost stream":
                    how = {"streams": STREAMS[(number + rng.randrange(4) * command.warm) % 4]}
                yield Fault(kind, name, number, rng.randrange(2**32), command.warm, how)


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Try a fault; return what was wrong."""
    command, found = COMMANDS[fault.command], reference[fault.command]
    lay_out(template, place, command)
    inputs = checks.inputs_of(place, command.inputs)
    disk = "disk" in fault.kind or fault.kind == "no inodes"
    if disk:
        _mount(place / "out", fault.how.get("options", "size=64m"))
    try:
        if fault.kind == "read-only disk":
            _remount(place / "out", "ro")
        outcome = child.run(
            words_of(command),
            place,
            warm=command.warm,
            limits=fault.how.get("limits"),
            streams=fault.how.get("streams"),
        )
        codes = {0, 2, 141, 120} if fault.kind == "lost stream" else {0, 2}
        problems = checks.message_problems(outcome, codes) if fault.kind != "lost stream" else _stream_problems(outcome)
        problems += checks.file_problems(place, {}, found, hard=False)
        if outcome.code == 0:
            problems += kinds_interrupts.done_problems(place, found)
        if disk:
            _remount(place / "out", "rw,size=1g,nr_inodes=0")
        problems += checks.next_problems(place, command, found)
        return problems + checks.input_problems(place, inputs, command.inputs)
    finally:
        if disk:
            subprocess.run(["umount", "-l", place / "out"], check=False, capture_output=True)


def _stream_problems(outcome: Any) -> list[str]:
    """A program without a reader still does its work, or says by its exit code that it could not."""
    if outcome.code not in (0, 2, 120, 141):
        return checks.message_problems(outcome, {0, 2, 120, 141})
    return ["an internal error"] if "internal error" in outcome.err or "Traceback" in outcome.err else []


def _mount(folder: Path, options: str) -> None:
    if os.geteuid() != 0:
        raise Skip("mounting a small disk needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Skip(f"no permission to mount a small disk: {done.stderr.strip()}")


def _remount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-o", f"remount,{options}", folder], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"the small disk can't be changed: {done.stderr.strip()}")
