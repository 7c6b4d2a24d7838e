"""How the processes of a run meet before TensorFlow connects them.

TensorFlow's own start-up waits without end and without a word where a process is missing, and lets a process that was
started again join a cluster that has no use for it. So the processes first meet here, by plain sockets on the addresses
of TF_CONFIG: nobody goes on before all are there, all new, and all started with the same command.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import Any

from mnasnet_cli.console import duration, say
from mnasnet_cli.distributed.cluster import WAIT_VARIABLE, Cluster, wait_seconds
from mnasnet_cli.errors import ConfigError, EnvironmentProblem

_ANSWER_SECONDS = 5.0  # an address that doesn't answer within this holds something else, such as an older run
_FIRST_SAY_SECONDS, _SAY_SECONDS = 2.0, 60.0


def meet(cluster: Cluster, what: str) -> None:
    """Returns once all processes of the cluster have called this with the same `what`.

    Raises:
      EnvironmentProblem: some did not come in time, or this process's port is taken.
      ConfigError: some came with another `what`.
    """
    if cluster.chief:
        _receive(cluster, what, _Patience())
    else:
        _report(cluster, what, _Patience())


def _receive(cluster: Cluster, what: str, patience: _Patience) -> None:
    """The chief's part: collects a connection from every other process, then lets all of them go on."""
    waiting: dict[int, _Line] = {}
    with _listen(cluster.addresses[0]) as server, contextlib.ExitStack() as stack:
        while True:
            missing = [address for rank, address in enumerate(cluster.addresses) if rank and rank not in waiting]
            # One that was killed while it waited for the others is missing again.
            if not missing and all(line.ask_whether_ready() for line in waiting.values()):
                break
            waiting = {rank: line for rank, line in waiting.items() if line.alive}
            patience.wait_for(missing)
            with contextlib.suppress(OSError):  # nobody called
                line = stack.enter_context(_Line(server.accept()[0]))
                hello = line.read() or {}
                rank = hello.get("rank")
                if not isinstance(rank, int) or not 0 < rank < len(cluster.addresses):
                    continue
                if hello.get("what") != what:
                    problem = (
                        f"the process at {cluster.addresses[rank]} was started with another configuration or on other "
                        f"records than the chief at {cluster.addresses[0]}; start the same command everywhere"
                    )
                    for other in (line, *waiting.values()):
                        other.write({"problem": problem})
                    raise ConfigError(problem)
                line.write({"welcome": True})
                waiting[rank] = line
        for line in waiting.values():
            line.write({"go": True})


def _report(cluster: Cluster, what: str, patience: _Patience) -> None:
    """Every other process's part: calls the chief until it answers, then waits for its word."""
    chief = cluster.addresses[0]
    host, _, port = chief.rpartition(":")
    while True:
        with contextlib.suppress(OSError), _Line(socket.create_connection((host.strip("[]"), int(port)), 2.0)) as line:
            line.write({"rank": cluster.rank, "what": what})
            answer = line.read()
            while answer is not None:
                if "problem" in answer:
                    raise ConfigError(answer["problem"])
                if "go" in answer:
                    return
                if "ready" in answer:
                    line.write({"yes": True})
                while (answer := line.read(1.0)) is None and line.alive:
                    patience.wait_for(["the chief's word that all are there"])
        patience.wait_for([chief])
        time.sleep(0.2)


class _Patience:
    """Says now and then who is waited for, and when it is enough."""

    def __init__(self) -> None:
        self._seconds = wait_seconds()
        self._end = time.monotonic() + self._seconds
        self._next = time.monotonic() + _FIRST_SAY_SECONDS

    def wait_for(self, missing: list[str]) -> None:
        """Raises EnvironmentProblem once the time is over."""
        now, who = time.monotonic(), ", ".join(missing[:4]) + (" and others" if len(missing) > 4 else "")
        if now > self._end:
            raise EnvironmentProblem(
                f"waited {duration(self._seconds)} in vain for {who}; start the same command on every machine "
                f"({WAIT_VARIABLE} says how long they wait for each other)"
            )
        if now > self._next:
            say(f"waiting for {who}")
            self._next = now + _SAY_SECONDS


def _listen(address: str) -> socket.socket:
    """The chief's socket; it listens on all of the machine's interfaces, as TensorFlow will."""
    port = int(address.rpartition(":")[2])
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise EnvironmentProblem(
            f"this process is to listen on {address} (TF_CONFIG), but can't: {os.strerror(error.errno or 0).lower()}"
        ) from None
    server.settimeout(0.2)
    return server


class _Line:
    """A connection that carries one JSON object a line."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._buffer = b""
        self.alive = True

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, message: dict[str, Any]) -> None:
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.alive = False

    def ask_whether_ready(self) -> bool:
        self.write({"ready": True})
        self.alive = self.read() is not None
        return self.alive

    def read(self, seconds: float = _ANSWER_SECONDS) -> dict[str, Any] | None:
        """The next message; None where none came in time, or the other side is gone or speaks another language."""
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            try:
                self._connection.settimeout(max(0.01, end - time.monotonic()))
                received = self._connection.recv(4096)
            except TimeoutError:
                return None
            except OSError:
                received = b""
            self._buffer += received
            if not received or len(self._buffer) > 65536:
                self.alive = False
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        self.alive = isinstance(message, dict)
        return message if self.alive else None
