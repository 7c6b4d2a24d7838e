"""How to install optional packages: the extras of `pyproject.toml`."""

from __future__ import annotations

import importlib.metadata
import re
import shlex

PROJECT = "mnasnet"


def requirements(extra: str) -> list[str]:
    """Return the requirements of an extra ("torch>=2.4", …), from the metadata of the installed project.

    Raises ValueError if there is no such extra, and importlib.metadata.PackageNotFoundError if the project is not
    installed.
    """
    lines = [line.partition(";") for line in importlib.metadata.requires(PROJECT) or ()]
    found = [name.strip() for name, _, marker in lines if re.search(rf"extra == ['\"]{extra}['\"]", marker)]
    if not found:
        raise ValueError(f"{PROJECT} has no extra called {extra!r}")
    return found


def install_command(extra: str, package: str | None = None) -> str:
    """Return the pip command that installs the packages of an extra, or one of them, in compatible versions.

    The command names the packages, not the project, because a clone or a downloaded wheel is not in a package index. If
    the project is not installed, the command names the extra of the checkout.
    """
    try:
        packages = requirements(extra)
    except importlib.metadata.PackageNotFoundError:
        return shlex.join(["pip", "install", package or f".[{extra}]"])
    if package is not None:
        packages = [line for line in packages if re.match(r"[\w.-]+", line)[0] == package]  # type: ignore[index]
        if not packages:
            raise ValueError(f"{package} is not in the extra {extra!r}")
    return shlex.join(["pip", "install", *packages])
