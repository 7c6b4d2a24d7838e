"""A barrier for the processes of a run, before TensorFlow connects them.

If a process is missing, TensorFlow's own start-up waits forever without a message; and it lets a restarted process join
a cluster that is already training. So the processes first meet here, on plain sockets at the addresses of the cluster.
They continue when all of them are there, just started, and with the same command.
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
from mnasnet_cli.system.documents import JsonObject, Unreadable, parse_json, validate

_ANSWER_SECONDS = 5.0  # an address that takes longer belongs to another program, for example an older run
_FIRST_MESSAGE_SECONDS, _MESSAGE_SECONDS = 2.0, 60.0


def meet(cluster: Cluster, digest: str) -> None:
    """Return once all processes of the cluster have called this with the same digest of their configuration.

    Raises:
      EnvironmentProblem: some processes did not come in time, or this process's port is in use.
      ConfigError: a process has another digest.
    """
    if cluster.chief:
        _wait_for_all(cluster, digest, _Deadline())
    else:
        _join_chief(cluster, digest, _Deadline())


def _wait_for_all(cluster: Cluster, digest: str, deadline: _Deadline) -> None:
    """The chief's part: wait for a connection from every other process, then tell all of them to continue."""
    waiting: dict[int, _Connection] = {}
    with _listen(cluster.addresses[0]) as server, contextlib.ExitStack() as stack:
        while True:
            missing = [address for rank, address in enumerate(cluster.addresses) if rank and rank not in waiting]
            # A process that was killed while it waited is missing again.
            if not missing and all(peer.is_ready() for peer in waiting.values()):
                break
            waiting = {rank: peer for rank, peer in waiting.items() if peer.alive}
            deadline.check(missing)
            with contextlib.suppress(OSError):  # no connection yet
                peer = stack.enter_context(_Connection(server.accept()[0]))
                hello = peer.read() or {}
                rank = hello.get("rank")
                if not isinstance(rank, int) or not 0 < rank < len(cluster.addresses):
                    continue
                if hello.get("digest") != digest:
                    problem = (
                        f"the process at {cluster.addresses[rank]} has another configuration, other records or "
                        f"another teacher than the chief at {cluster.addresses[0]}; start the same command on "
                        "every machine"
                    )
                    for other in (peer, *waiting.values()):
                        other.write({"problem": problem})
                    raise ConfigError(problem)
                peer.write({"welcome": True})
                waiting[rank] = peer
        for peer in waiting.values():
            peer.write({"go": True})


def _join_chief(cluster: Cluster, digest: str, deadline: _Deadline) -> None:
    """The part of every other process: connect to the chief, then wait until it says to continue."""
    chief = cluster.addresses[0]
    host, _, port = chief.rpartition(":")
    while True:
        address = (host.strip("[]"), int(port))
        with contextlib.suppress(OSError), _Connection(socket.create_connection(address, 2.0)) as peer:
            peer.write({"rank": cluster.rank, "digest": digest})
            answer = peer.read()
            while answer is not None:
                if "problem" in answer:
                    raise ConfigError(str(answer["problem"]))
                if "go" in answer:
                    return
                if "ready" in answer:
                    peer.write({"yes": True})
                while (answer := peer.read(1.0)) is None and peer.alive:
                    deadline.check(["the other processes"])
        deadline.check([chief])
        time.sleep(0.2)


class _Deadline:
    """The end of the waiting time, and messages about what is missing until then."""

    def __init__(self) -> None:
        self._seconds = wait_seconds()
        self._end = time.monotonic() + self._seconds
        self._next_message = time.monotonic() + _FIRST_MESSAGE_SECONDS

    def check(self, missing: list[str]) -> None:
        """Raise EnvironmentProblem once the time is over."""
        now, names = time.monotonic(), ", ".join(missing[:4]) + (" and others" if len(missing) > 4 else "")
        if now > self._end:
            raise EnvironmentProblem(
                f"waited {duration(self._seconds)} for {names}, which did not start; start the same command on every "
                f"machine ({WAIT_VARIABLE} sets the waiting time)"
            )
        if now > self._next_message:
            say(f"waiting for {names}")
            self._next_message = now + _MESSAGE_SECONDS


def _listen(address: str) -> socket.socket:
    """Return the chief's socket. It listens on all interfaces of the machine, as TensorFlow will."""
    port = int(address.rpartition(":")[2])
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise EnvironmentProblem(
            f"can't listen on {address}, the address of this process by TF_CONFIG or Slurm: "
            f"{os.strerror(error.errno or 0).lower()}"
        ) from None
    server.settimeout(0.2)
    return server


class _Connection:
    """A connection that carries one JSON object per line."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._buffer = b""
        self.alive = True

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, message: dict[str, Any]) -> None:
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.alive = False

    def is_ready(self) -> bool:
        """Ask the peer whether it is still waiting."""
        self.write({"ready": True})
        self.alive = self.read() is not None
        return self.alive

    def read(self, seconds: float = _ANSWER_SECONDS) -> dict[str, Any] | None:
        """Return the next message; None if none came in time, the peer is gone, or it sent something else."""
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
            message = validate(parse_json(line, "a message"), JsonObject, "a message")
        except Unreadable:
            message = None
        self.alive = message is not None
        return message
