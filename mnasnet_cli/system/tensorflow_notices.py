"""Keeps TensorFlow's notices off standard error."""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.machinery
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from mnasnet_cli.system.light_tensorflow import light_tensorflow
from mnasnet_cli.system.native_output import STDERR, redirect

# Lines such as "I0000 00:00:17955.07 4961 port.cc:153] oneDNN …" or "W0000 …", and errors about CUDA plug-ins that are
# registered twice.
_NOTICE = re.compile(r"^([IW]\d{4} |WARNING: All log messages before absl|E\d{4} .*Unable to register cu)")
_LEVEL_VARIABLE, _FATAL = "TF_CPP_MIN_LOG_LEVEL", "3"


def silence_tensorflow() -> None:
    """Set log levels and install an import hook. Call it before TensorFlow is imported: later it has no effect."""
    os.environ.setdefault(_LEVEL_VARIABLE, _FATAL)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(tensorflow|tf_slim)\b")
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `tensorflow` on the usual path and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Runs another loader, without TensorFlow's notices on standard error and without Keras."""

    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _filter_notices(), light_tensorflow():
            self._inner.exec_module(module)
        if os.environ.get(_LEVEL_VARIABLE) == _FATAL:
            _silence_absl(module)
        # In a notebook or an interactive Python, TensorFlow has set the level of its logger to INFO.
        if hasattr(module, "get_logger"):
            module.get_logger().setLevel(logging.ERROR)


def _silence_absl(tensorflow: ModuleType) -> None:
    """Let absl write fatal errors only, such as those before an abort.

    Parts of TensorFlow (gRPC, the coordination service) log with absl itself, past TF_CPP_MIN_LOG_LEVEL: for example
    when another process of a training is gone. absl has no variable for that, and its `SetMinLogLevel`
    (absl/log/globals.h) no Python function. The C++ name holds absl's release, which a header beside the library says.
    """
    folder = Path(tensorflow.__file__ or "").parent
    try:
        header = (folder / "include/absl/base/options.h").read_text(encoding="utf-8", errors="replace")
        release = re.search(r"^#define ABSL_OPTION_INLINE_NAMESPACE_NAME (\w+)$", header, re.MULTILINE)[1]  # type: ignore[index]
        library = ctypes.CDLL(os.fspath(next(folder.glob("libtensorflow_framework.*"))))  # it is loaded already
        name = f"_ZN4absl{len(release)}{release}14SetMinLogLevelENS0_18LogSeverityAtLeastE"
        getattr(library, name)(int(_FATAL))
    except (OSError, TypeError, StopIteration, AttributeError):  # another build of TensorFlow
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's part of it; it sets absl's level, too


@contextmanager
def _filter_notices() -> Iterator[None]:
    """Collect what is written to standard error within the block, and then write all lines but the notices."""
    with tempfile.TemporaryFile() as file:
        try:
            with redirect(file, STDERR):
                yield
        finally:
            file.seek(0)
            lines = file.read().splitlines(keepends=True)
            os.write(STDERR, b"".join(line for line in lines if not _NOTICE.match(line.decode(errors="replace"))))
