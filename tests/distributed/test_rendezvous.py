"""The barrier of the processes of a run."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from local_cluster import free_addresses

from mnasnet_cli.distributed.cluster import Cluster
from mnasnet_cli.distributed.rendezvous import meet
from mnasnet_cli.errors import ConfigError, EnvironmentProblem


def meet_in_threads(addresses: list[str], digests: list[str]) -> list[str]:
    """Plays each process by a thread and returns how `meet` ended for it: "" or the message."""
    ends = ["hung"] * len(digests)

    def play(rank: int) -> None:
        try:
            meet(Cluster(tuple(addresses), rank), digests[rank])
            ends[rank] = ""
        except (ConfigError, EnvironmentProblem) as error:
            ends[rank] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=play, args=[rank], daemon=True) for rank in range(len(digests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ends


def test_processes_meet() -> None:
    assert meet_in_threads(free_addresses(3), ["same"] * 3) == ["", "", ""]


def test_processes_of_another_command_do_not_meet() -> None:
    addresses = free_addresses(2)
    chief, worker = meet_in_threads(addresses, ["ours", "theirs"])
    assert chief == worker
    assert chief.startswith("ConfigError: ")
    assert all(address in chief for address in addresses)


def test_waiting_for_the_others_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNASNET_WAIT_SECONDS", "0.5")
    addresses = free_addresses(2)
    for rank, missing in ((0, addresses[1]), (1, addresses[0])):
        with pytest.raises(EnvironmentProblem, match=rf"0\.5 s .*{missing}.*MNASNET_WAIT_SECONDS"):
            meet(Cluster(tuple(addresses), rank), "digest")
    monkeypatch.setenv("MNASNET_WAIT_SECONDS", "soon")
    with pytest.raises(ConfigError, match="MNASNET_WAIT_SECONDS is 'soon'"):
        meet(Cluster(tuple(addresses), 0), "digest")


def test_strangers_and_processes_that_die_while_waiting_do_not_count() -> None:
    addresses = free_addresses(3)
    end = threading.Thread(target=lambda: meet(Cluster(tuple(addresses), 0), "digest"), daemon=True)
    end.start()
    host, port = addresses[0].split(":")
    for words in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 1, "digest": "digest"}\n'):  # the second one then dies
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))) as caller:
                caller.sendall(words)
                time.sleep(0.3)
                break
    others = [
        threading.Thread(target=lambda r=rank: meet(Cluster(tuple(addresses), r), "digest"), daemon=True)
        for rank in (1, 2)
    ]
    others[1].start()
    end.join(1.0)
    assert end.is_alive()
    others[0].start()
    for thread in (end, *others):
        thread.join(20)
        assert not thread.is_alive()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EnvironmentProblem, match=rf"listen on {address}.*TF_CONFIG.*address already"):
            meet(Cluster((address, "127.0.0.1:1"), 0), "digest")
