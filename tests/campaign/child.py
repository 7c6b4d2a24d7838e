"""Runs the program in a forked child, so that a fault doesn't pay for TensorFlow's import again."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import injection as injections
from fault import Outcome

HANG_SECONDS = 300.0  # of wall clock; machines of continuous integration are shared
TICKS = os.sysconf("SC_CLK_TCK")
PROGRAM = Path(__file__).parent.parent / "tiny_net.py"
KEPT_CHARACTERS = 4000
history: list[dict[str, Any]] = []  # what was run for the current fault, for the folder of what failed


class Running:
    """A child process that runs a command line. Its standard streams are files in its folder's `streams`."""

    def __init__(
        self,
        words: list[str],
        place: Path,
        *,
        warm: bool,
        injection: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        environment: dict[str, str] | None = None,
        streams: dict[str, str] | None = None,
    ) -> None:
        self.began = time.monotonic()
        self.killed = False
        self._words = words
        self._out = place.parent / f"{place.name}.{self.began}.out"
        self._err = place.parent / f"{place.name}.{self.began}.err"
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                paths = {"out": str(self._out), "err": str(self._err), **(streams or {})}
                _become(place, paths, limits or {}, environment or {}, warm)
                injections.install(injection or {}, place)
                code = _run_program(words)
            finally:
                os._exit(code)

    def cpu(self) -> float:
        """Return the processor time so far, in seconds."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / TICKS

    def send(self, number: int) -> None:
        """Send a signal, to the process alone."""
        self.killed = self.killed or number == signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, at_cpu: float | None = None, act: Callable[[Running], None] | None = None) -> Outcome:
        """Wait for the end. `act(self)` is called once when `at_cpu` seconds of processor time are used."""
        hung = False
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):  # an injection stopped it
                time.sleep(0.1)
                os.kill(self.pid, signal.SIGCONT)
            elif pid:
                break
            elif act is not None and self.cpu() >= (at_cpu or 0.0):
                act(self)
                act = None
            elif time.monotonic() - self.began > HANG_SECONDS:
                hung = True
                os.killpg(self.pid, signal.SIGKILL)
            else:
                time.sleep(0.005)
        _end_group(self.pid)
        code = os.waitstatus_to_exitcode(status)
        out, err = (_read_and_remove(path) for path in (self._out, self._err))
        history.append({
            "command": " ".join(["mnasnet", *self._words]), "code": code, "out": out[-KEPT_CHARACTERS:],
            "err": err[-KEPT_CHARACTERS:],
        })  # fmt: skip
        return Outcome(
            None if hung else code, out, err, time.monotonic() - self.began, usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss // 1024, self.killed,
        )  # fmt: skip


def run(words: list[str], place: Path, **options: Any) -> Outcome:
    """Run a command line to its end."""
    return Running(words, place, **options).wait()


def call_in_fork(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a forked child: here TensorFlow must not start its threads."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(function(*arguments), pipe)
            code = 0
        except BaseException as error:
            print(f"{function.__name__}{arguments}: {error!r}", file=sys.stderr)
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    if not data:
        return None
    return pickle.loads(data)


def _become(
    place: Path, paths: dict[str, str], limits: dict[str, int], environment: dict[str, str], warm: bool
) -> None:
    """Turn a forked child into a process as a shell would start it."""
    os.setsid()
    os.chdir(place)
    sys.path[:] = [path for path in sys.path if path != ""]
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    for number, name in ((1, "out"), (2, "err")):
        if paths[name] == "closed":
            continue
        file = os.open(paths[name], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    for number, name in ((1, "out"), (2, "err")):
        if paths[name] == "closed":
            os.close(number)
            setattr(sys, {"out": "stdout", "err": "stderr"}[name], None)
    os.closerange(3, 256)
    os.environ.pop("COLUMNS", None)
    os.environ["PYTHONPATH"] = str(PROGRAM.parent.parent)
    os.environ.update(environment)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not warm:  # the imports of this process are no part of the command's
        assert "tensorflow" not in sys.modules or os.environ.get("CAMPAIGN_WARM")
    for name, value in limits.items():
        kind = getattr(resource, name)
        if name == "RLIMIT_AS":
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            value += used
        resource.setrlimit(kind, (value, value))


def _run_program(words: list[str]) -> int:
    from mnasnet_cli.app import main

    sys.argv = ["mnasnet", *words]
    sys.orig_argv = [sys.executable, str(PROGRAM), *words]  # a training on several processes starts itself again
    try:
        main()
        code: Any = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:  # what the interpreter would print
        import traceback

        traceback.print_exception(error)
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as the interpreter does
    return code if isinstance(code, int) else (0 if code is None else 1)


def _end_group(pid: int) -> None:
    """End what the command left running."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            os.killpg(pid, 0)
        except OSError:
            return
        time.sleep(0.02)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _read_and_remove(path: Path) -> str:
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
    path.unlink()
    return text
