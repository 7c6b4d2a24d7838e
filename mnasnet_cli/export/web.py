"""Writes a folder with a web page that runs the net in the browser, with LiteRT.js."""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path
from urllib.parse import urlsplit

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.export.artifact import Artifact
from mnasnet_cli.export.tflite.converter import write_tflite
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.pages.html import escape
from mnasnet_cli.system.files import make_folder, write_atomically

PAGE = Path(__file__).with_name("web_page")
RUNTIME = "litert"
"""The folder beside the page that holds LiteRT.js."""
# What a browser loads: the library, and LiteRT for processors with and without relaxed SIMD.
_RUNTIME_FILES = (
    "@litertjs/core/package.json",
    "@litertjs/core/dist/index.js",
    "@litertjs/core/wasm/litert_wasm_internal.js",
    "@litertjs/core/wasm/litert_wasm_internal.wasm",
    "@litertjs/core/wasm/litert_wasm_compat_internal.js",
    "@litertjs/core/wasm/litert_wasm_compat_internal.wasm",
    "@litertjs/wasm-utils/package.json",
    "@litertjs/wasm-utils/dist/index.js",
)


def write_web_page(loaded: LoadedModel, folder: Path, litertjs: str | None) -> Artifact:
    """Write `model.tflite` (float32), the page, and LiteRT.js.

    Args:
      litertjs: a folder into which npm has installed @litertjs/core, whose files are copied; or a URL from which the
        page loads them; None: the page expects them in its folder `litert`.
    """
    artifact = write_tflite(loaded, folder, None, one_image=True)  # LiteRT.js takes no open sizes
    is_url = litertjs is not None and _is_url(litertjs)
    base = litertjs.rstrip("/") if litertjs is not None and is_url else f"./{RUNTIME}"
    if litertjs is not None and not is_url:
        _copy_runtime(find_runtime(litertjs), folder / RUNTIME)
    address = urlsplit(base)
    origin = f"{address.scheme}://{address.netloc}" if is_url else ""
    task = "classifier" if loaded.task == "classification" else "detector"
    values = {
        "title": escape(f"{loaded.config.model.title} {task}"),
        "litert": escape(base),
        "origin": escape(origin),
        "allowed": escape(f" and of {origin}" if origin else ""),
    }
    for source in sorted(PAGE.iterdir()):
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".html":
            text = string.Template(text).substitute(values)
        write_atomically(folder / source.name, text)
    notes = () if litertjs else (f"the page needs LiteRT.js in the folder {RUNTIME}: export again with --litertjs",)
    return dataclasses.replace(artifact, notes=notes)


def check_runtime(litertjs: str | None) -> None:
    """Raise DataError or ConfigError if `litertjs` is neither a URL nor a folder with LiteRT.js."""
    if litertjs is not None and not _is_url(litertjs):
        find_runtime(litertjs)


def find_runtime(litertjs: str) -> Path:
    """Return the folder that holds `@litertjs`: the given one, or `node_modules` in it. Raises DataError."""
    candidates = (Path(litertjs), Path(litertjs) / "node_modules")
    for folder in candidates:
        if all((folder / name).is_file() for name in _RUNTIME_FILES):
            return folder
    found = next((folder for folder in candidates if (folder / "@litertjs").is_dir()), candidates[0])
    missing = next(name for name in _RUNTIME_FILES if not (found / name).is_file())
    raise DataError(
        f"{found} has no {missing}; install LiteRT.js with `npm install @litertjs/core`, and give the folder in which "
        "you did that"
    )


def _is_url(litertjs: str) -> bool:
    address = urlsplit(litertjs)
    if address.scheme in ("http", "https") and address.netloc:
        if set(litertjs) & set("\"'<>; \\"):
            raise ConfigError(f"--litertjs {litertjs} is not a plain URL")
        return True
    return False


def _copy_runtime(source: Path, target: Path) -> None:
    for name in _RUNTIME_FILES:
        make_folder((target / name).parent)
        write_atomically(target / name, (source / name).read_bytes())
