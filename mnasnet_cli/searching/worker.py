"""A process of a search: takes tasks that no other process does, does them, and shows the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnasnet_cli.console import duration, plural, progress, say, warn
from mnasnet_cli.searching import rungs
from mnasnet_cli.searching.execution import Workplace, perform, remove_trainings
from mnasnet_cli.searching.latency.measuring import BUSY
from mnasnet_cli.searching.nets.entrants import EntrantPool
from mnasnet_cli.searching.plan import Plan
from mnasnet_cli.searching.scheduler import SOLVED_TIMES, SearchState, replay
from mnasnet_cli.searching.store import Store
from mnasnet_cli.searching.tasks import Task, rung_of

POLL_SECONDS = 1.0
"""Between two looks at what the other processes have done."""
QUIET_SECONDS = 60.0
"""Between two lines of progress where there is no terminal."""
MEASURING = ("parts", "nets")
CERTAIN_SHARE = 0.05
"""Of a training, after which its time can be told."""
LATER_GROUPS = 1 + SOLVED_TIMES
"""Of measurements that follow those of the parts, at most: whole nets for the scale, and the stock nets."""


@dataclass(frozen=True)
class Running:
    """A training that runs: its rung, the share that is done, and the seconds that it will take, None if unknown."""

    rung: int
    share: float
    seconds: float | None


class Worker:
    """One process of a search."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        place: Workplace,
        *,
        can_measure: bool = True,
        do: Callable[[Task, Plan, Workplace], dict[str, Any]] | None = None,
    ) -> None:
        """can_measure: whether this machine is the one that latencies are of. do: does a task."""
        self._plan, self._store, self._can_measure, self._do = plan, store, can_measure, do or perform
        self._place = Workplace(place.run_dir, place.data, self._on_wait)
        self._said: set[str] = set()
        self._made: list[EntrantPool] = []
        self._warned = False
        self._shown = time.monotonic()
        self._bar: Any = None
        self._trains = False
        self._state, self._replayed = SearchState([]), -1
        self._task: Task | None = None
        self._began = self._shown
        self._first_share: float | None = None

    def run(self) -> SearchState:
        """Do tasks until there are none left; return the state at the end."""
        remove_trainings(self._plan, self._store.results(), self._place)
        state = self._look()
        self._said.update(state.notes)
        if state.candidates is None:
            known = len(self._store.results())
            with progress("measure latencies", self._groups(state), unit="groups", start=known) as self._bar:
                state = self._work_until(lambda state: state.candidates is not None or not state.tasks)
        elif not state.tasks:
            return state
        elif self._done():
            say(f"resuming: {plural(self._done(), 'training')} of about {self._total():,} are done")
        for line in describe_plan(self._plan, state):
            say(line)
        self._trains = True
        with progress("search", self._total(), unit="runs", start=self._done()) as self._bar:
            return self._work_until(lambda state: not state.tasks)

    def _work_until(self, ends: Callable[[SearchState], bool]) -> SearchState:
        while True:
            state = self._look()
            for note in state.notes:
                if note not in self._said:
                    self._said.add(note)
                    say(note)
            self._show(None)
            if ends(state):
                return state
            if not any(self._try(task) for task in open_now(state.tasks)):
                time.sleep(POLL_SECONDS)  # others do what is to be done now

    def _look(self) -> SearchState:
        results = self._store.results()
        if len(results) != self._replayed:  # the state follows from them alone
            self._state, self._replayed = replay(self._plan, results, self._made), len(results)
        return self._state

    def _try(self, task: Task) -> bool:
        """Do a task if it is ours to do; return whether we did it."""
        if task.kind in MEASURING and not self._can_measure:
            return False
        with self._store.claim(task) as ours:
            if not ours:
                return False
            self._task, self._began, self._first_share = task, time.monotonic(), None
            try:
                result = self._do(task, self._plan, self._place)
            finally:
                self._task = None
            self._store.put(task, result)
        self._warn_if_busy(result)
        if result.get("diverged"):
            warn(f"the training {self._place.training(task).name} diverged; it counts as 0 % top-1")
        remove_trainings(self._plan, self._store.results(), self._place)
        return True

    def _warn_if_busy(self, result: Mapping[str, Any]) -> None:
        busy = float(result.get("busy") or 1.0)
        if busy > BUSY and not self._warned:
            self._warned = True
            warn(
                f"the machine is busy: calls take {busy:.1f} times their processor time. Latencies are in processor "
                "time, which still ranks nets, but is less exact; end other programs for the best result"
            )

    def _on_wait(self, share: float | None) -> None:
        """Show the progress, on a terminal at once, else from time to time."""
        if sys.stderr.isatty() or time.monotonic() - self._shown > QUIET_SECONDS:
            self._show(share)

    def _show(self, share: float | None) -> None:
        self._shown = time.monotonic()
        if self._bar is None:
            return
        if not self._trains:
            self._bar.update(len(self._store.results()), now=self._state.stage)
            return
        counts = expected_by_rung(self._plan, self._state)
        taken = [number for number, count in enumerate(counts) if count or number == self._state.rung]
        rung = f"{taken.index(self._state.rung) + 1}/{len(taken)}"
        if self._task is not None and self._task.kind == "train":
            rung += f", {self._task.payload['variant']}"
            rung += "" if share is None else f" {100 * min(share, 1.0):.0f} %"
        left = seconds_left(self._plan, self._state, self._store.results(), self._running(share))
        self._bar.update(self._done(), left=left, rung=rung)

    def _running(self, share: float | None) -> Running | None:
        """Return what is known about the training of this process; None if it does not train."""
        rung = rung_of(self._task.key) if self._task is not None else None
        if rung is None or share is None:
            return None
        if self._first_share is None:
            self._first_share = share
        done = share - self._first_share  # here: it may have begun in an earlier process
        seconds = time.monotonic() - self._began
        return Running(rung, min(share, 1.0), seconds / done if done > CERTAIN_SHARE else None)

    def _groups(self, state: SearchState) -> int:
        """Return how many tasks come before the trainings, at most."""
        later = 0 if self._plan.phone_nets else LATER_GROUPS
        timed = len(self._plan.limits_ms) if self._plan.candidates is None and later else 0
        return len(self._store.results()) + len(state.tasks) + later + timed

    def _done(self) -> int:
        return sum(rung_of(key) is not None for key in self._store.results())

    def _total(self) -> int:
        """Return about how many trainings there are."""
        counts = expected_by_rung(self._plan, self._state)
        return max(round(sum(counts)), self._done())


def open_now(tasks: Sequence[Task]) -> Sequence[Task]:
    """Return the tasks that may begin now: what is timed comes one after the other, as two at once slow each other."""
    return tasks if tasks and tasks[0].kind == "train" else tasks[:1]


def expected_by_rung(plan: Plan, state: SearchState) -> list[float]:
    """Return about how many trainings each rung has, over all limits."""
    found = [0.0] * len(plan.rungs)
    for contest in state.contests:
        stock = sum(one.is_stock for one in contest.entrants.values()) or 5
        counts = rungs.expected_trainings(state.candidates or 0, len(plan.rungs), stock)
        found = [one + other for one, other in zip(found, counts, strict=True)]
    return found


def seconds_left(plan: Plan, state: SearchState, results: Mapping[str, Any], running: Running | None = None) -> float:
    """Return about how long the rest takes one process, from its trainings so far; NaN before the first."""
    seconds: list[list[float]] = [[] for _ in plan.rungs]
    for key, result in results.items():
        if (rung := rung_of(key)) is not None and rung < len(seconds):  # a file may be of another search
            seconds[rung].append(float(result["seconds"]))
    done = [len(one) for one in seconds]
    if running and running.seconds:
        seconds[running.rung].append(running.seconds)
    known = [(rung, sum(one) / len(one)) for rung, one in enumerate(seconds) if one]
    if not known:
        return float("nan")
    size = plan.image_sizes[0]
    left = 0.0
    for rung, expected in enumerate(expected_by_rung(plan, state)):
        nearest, mean = min(known, key=lambda pair: abs(pair[0] - rung))
        ratio = plan.rungs[rung].cost(size) / plan.rungs[nearest].cost(size)
        open_here = max(expected - done[rung], 0.0) if rung >= state.rung else 0.0
        if running and running.rung == rung:
            open_here = max(open_here - running.share, 0.0)
        left += open_here * mean * ratio
    return left


def describe_plan(plan: Plan, state: SearchState) -> list[str]:
    """Return in words what a search will do, before it begins."""
    size, counts = max(plan.image_sizes), expected_by_rung(plan, state)
    stages = ", ".join(
        f"{plural(rung.epochs, 'epoch')} at {rung.image_size(size)} px"
        for rung, count in zip(plan.rungs, counts, strict=True)
        if count
    )
    limits = " and ".join(f"{limit:g} ms" for limit in plan.limits_ms)
    lines = [
        f"{plural(state.candidates or 0, 'drawn net')} and the stock nets within {limits} on {plan.device}; rungs of "
        f"{stages}; about {round(sum(counts))} trainings"
    ]
    if state.latency_errors:
        error = 100 * sum(state.latency_errors) / len(state.latency_errors)
        lines.append(f"predicted latencies of the stock nets differ from measured ones by {error:.1f} % on average")
    if state.by_rung:
        both = zip(counts, state.by_rung, strict=True)  # each is over all limits
        seconds = sum(count * one for count, one in both) / len(plan.limits_ms)
        lines.append(f"the trainings take one process about {duration(seconds)}")
    return lines
