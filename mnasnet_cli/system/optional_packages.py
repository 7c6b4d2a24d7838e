"""How to install the packages that only some jobs need: the extras of `pyproject.toml`."""

from __future__ import annotations

import importlib.metadata
import re
import shlex

PROJECT = "mnasnet"


def requirements(extra: str) -> list[str]:
    """Returns what an extra asks for ("torch>=2.4", …), from the metadata of the installed project.

    Raises:
      ValueError: the project has no such extra.
      importlib.metadata.PackageNotFoundError: the project runs without being installed.
    """
    stated = [line.partition(";") for line in importlib.metadata.requires(PROJECT) or ()]
    found = [what.strip() for what, _, marker in stated if re.search(rf"extra == ['\"]{extra}['\"]", marker)]
    if not found:
        raise ValueError(f"{PROJECT} has no extra called {extra!r}")
    return found


def install_command(extra: str, package: str | None = None) -> str:
    """Returns the pip command that installs the packages of an extra, or one of them, in the versions that fit.

    It names the packages, not the project: a clone or a downloaded wheel is in no package index. Where the project
    runs from a checkout without being installed, the command names the extra of that checkout.
    """
    try:
        wanted = requirements(extra)
    except importlib.metadata.PackageNotFoundError:
        return shlex.join(["pip", "install", package or f".[{extra}]"])
    if package is not None:
        wanted = [one for one in wanted if re.match(r"[\w.-]+", one)[0] == package]  # type: ignore[index]
        if not wanted:
            raise ValueError(f"{package} is not in the extra {extra!r}")
    return shlex.join(["pip", "install", *wanted])
