"""The scheduler of a search: which tasks come next, and what is decided from their results.

`replay` is a pure function of the plan and the results. A process that starts again, or joins, calls it on what the
store holds and goes on from there; so a search that was killed anywhere, or was done by several processes, has the same
end as one that was not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from mnasnet_cli.console import duration, percent, plural
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.searching import rungs
from mnasnet_cli.searching.calibration import measuring_task, predictor_of
from mnasnet_cli.searching.nets.entrants import Entrant, EntrantPool
from mnasnet_cli.searching.plan import Plan, table_of
from mnasnet_cli.searching.tasks import Pending, Task, keyed_task, need, training_key

MAX_ERROR = 0.03
"""Of a measured latency against the predicted one, over which a net is solved again."""
SOLVED_TIMES = 3
BEFORE_TRAININGS = ("parts-", "nets-scale-", "nets-stock-", "time-")
"""Of the keys of tasks whose time is a part of the budget that the trainings don't have."""


@dataclass
class Contest:
    """What is known about the nets of one latency.

    Attributes:
      entrants: all, by name.
      scores: by rung, then by name: a score for each seed.
      level: the rung that was trained last. going_on: names of those that the next one trains; None before that is
        decided.
      in_last: names of those in the last rung. validation: their scores there, by seed.
      notes: a line for each rung, for people.
    """

    limit_ms: float
    entrants: dict[str, Entrant] = field(default_factory=dict)
    scores: list[dict[str, list[float]]] = field(default_factory=list)
    level: int = 0
    going_on: list[str] | None = None
    in_last: list[str] = field(default_factory=list)
    validation: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_score(self, rung: int, name: str, score: float) -> None:
        """Add the score of a net in a rung."""
        while len(self.scores) <= rung:
            self.scores.append({})
        self.scores[rung].setdefault(name, []).append(score)


@dataclass
class SearchState:
    """How far a search is.

    Attributes:
      tasks: what can be done now; empty at the end.
      candidates: drawn nets for each latency; None before that is known.
      stage: what the tasks are for, in words. rung: the rung that they belong to, from 0.
      latency_errors: of the predictions, relative, of nets that were then measured as a whole.
      busy: time on the clock over processor time when whole nets were measured, the highest.
      by_rung: seconds of a training in each rung, over all limits, from timed steps; empty if none were timed.
    """

    contests: list[Contest]
    tasks: list[Task] = field(default_factory=list)
    candidates: int | None = None
    stage: str = "parts of nets"
    rung: int = 0
    latency_errors: list[float] = field(default_factory=list)
    busy: float = 1.0
    by_rung: list[float] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """A line for each thing that is decided, in an order that never changes."""
        return [note for contest in self.contests for note in contest.notes]


def replay(plan: Plan, found: Mapping[str, Any], made: list[EntrantPool] | None = None) -> SearchState:
    """Return how far a search is with these results.

    Args:
      made: a list that is empty at first, and filled with what makes the nets of each limit. Given again for the same
        plan, it saves time and changes nothing.

    Raises:
      ConfigError: no net can meet a limit, or the budget is too short; before any training.
    """
    state = SearchState([Contest(limit) for limit in plan.limits_ms])
    try:
        _Replay(plan, found, state).to_the_end([] if made is None else made)
    except Pending as pending:
        state.tasks = pending.tasks
    return state


class _Replay:
    """One walk through the search, which ends with Pending where results are missing."""

    def __init__(self, plan: Plan, found: Mapping[str, Any], state: SearchState) -> None:
        self._plan, self._found, self._state = plan, found, state
        self._reference_ms: float | None = None

    def to_the_end(self, pools: list[EntrantPool]) -> None:
        plan, state = self._plan, self._state
        if not pools:
            predict = predictor_of(plan, self._found)
            pools += [EntrantPool(plan, limit, predict) for limit in plan.limits_ms]
        self._reference_ms = pools[0].reference_ms
        check_limits(pools)
        self._set_stage("latency of the stock nets", 0)
        found = [one.stock() for one in pools]
        for one, entrants in zip(pools, found, strict=True):
            if not entrants or not one.drawn(1):
                raise ConfigError(
                    f"only a few nets of the space meet a latency of {one.limit_ms:g} ms; raise --latency, or allow "
                    "smaller images with --image-size"
                )
        stock = self._solve_measured("stock", pools, found)
        state.candidates = self._count(stock)
        self._first_rung(pools, stock)
        for rung in range(1, len(plan.rungs)):
            self._climb(rung, pools)
        self._last_rung()

    def _count(self, stock: list[dict[str, Entrant]]) -> int:
        """Return the number of drawn nets, from the plan or from the budget."""
        plan = self._plan
        if plan.candidates is not None:
            return plan.candidates
        self._set_stage("speed of the trainings", 0)
        tasks = []
        for limit, entrants in zip(plan.limits_ms, stock, strict=True):
            entrant = entrants.get("b1") or next(iter(entrants.values()))
            trainings = [_payload(entrant, rung, 0, last=False) for rung in range(len(plan.rungs))]
            tasks.append(keyed_task(f"time-{_tag(limit)}", "time", {"trainings": trainings}))
        speeds = need(self._found, tasks)
        by_rung = [sum(one["by_rung"][rung] for one in speeds) for rung in range(len(plan.rungs))]
        self._state.by_rung = by_rung
        before = [key for key in self._found if key.startswith(BEFORE_TRAININGS)]
        spent = sum(float(self._found[key]["seconds"]) for key in before)
        nets = max(len(entrants) for entrants in stock)
        budget = float(plan.budget_seconds or 0.0)
        count = rungs.candidates_within(budget - spent, by_rung, nets)
        if not count:
            least = spent + rungs.trainings_seconds(2, by_rung, nets)
            raise ConfigError(
                f"--budget {duration(budget)} is too short: the stock nets and two others take about "
                f"{duration(least)}; raise it, or make trainings cheaper with --image-size or --set training.epochs=N"
            )
        return count

    def _first_rung(self, pools: list[EntrantPool], stock: list[dict[str, Entrant]]) -> None:
        """Train the stock nets and the first half, then mutations of the best."""
        state, count = self._state, self._state.candidates or 0
        half = -(-count // 2)
        self._set_stage("rung 1, random nets", 0)
        for contest, one, entrants in zip(state.contests, pools, stock, strict=True):
            contest.entrants = {**entrants, **one.drawn(half)}
        self._train([0] * len(pools), [list(contest.entrants) for contest in state.contests])
        if count > half:
            self._set_stage("rung 1, mutations of the best", 0)
            new = [
                one.mutated(count - half, contest.entrants, contest.scores[0])
                for contest, one in zip(state.contests, pools, strict=True)
            ]
            for contest, entrants in zip(state.contests, new, strict=True):
                contest.entrants |= entrants
            self._train([0] * len(pools), [list(entrants) for entrants in new])

    def _climb(self, rung: int, pools: list[EntrantPool]) -> None:
        """Decide who goes on from the rung below, and train these; a rung that nobody would leave is left out."""
        contests, last = self._state.contests, len(self._plan.rungs) - 1
        self._set_stage(f"rung {rung}, second seeds", rung - 1)
        undecided = [contest.going_on is None for contest in contests]
        doubtful = [self._doubtful(one) if open_ else [] for one, open_ in zip(contests, undecided, strict=True)]
        self._train([contest.level for contest in contests], doubtful, seed=1)
        for contest, seconds in zip(contests, doubtful, strict=True):
            if contest.going_on is None:
                drawn = self._drawn(contest)
                best = set(rungs.ranking(drawn)[: rungs.kept(len(drawn))])
                contest.going_on = [name for name, one in contest.entrants.items() if one.is_stock or name in best]
                self._note(contest, best, len(seconds))
        if rung == last:
            self._finalists(pools)
            return
        self._set_stage(f"rung {rung + 1}", rung)
        names = [contest.going_on or [] if self._leaves_some(contest) else [] for contest in contests]
        self._train([rung] * len(contests), names)
        for contest, trained in zip(contests, names, strict=True):
            if trained:
                contest.level, contest.going_on = rung, None

    def _doubtful(self, contest: Contest) -> list[str]:
        """Return the nets that get a second seed before it is decided who goes on."""
        drawn = self._drawn(contest)
        deviation = rungs.seed_deviation([values for scores in contest.scores for values in scores.values()])
        return rungs.in_doubt(drawn, rungs.kept(len(drawn)), deviation)

    def _leaves_some(self, contest: Contest) -> bool:
        """Return whether the next rung would drop any of the drawn nets that go on."""
        drawn = sum(not contest.entrants[name].is_stock for name in contest.going_on or ())
        return rungs.kept(drawn) < drawn

    def _finalists(self, pools: list[EntrantPool]) -> None:
        """Measure the nets of the last rung as a whole, in turns, and solve those again that are off."""
        state = self._state
        self._set_stage("latency of the finalists", len(self._plan.rungs) - 1)
        groups = [{name: contest.entrants[name] for name in contest.going_on or ()} for contest in state.contests]
        for contest, measured in zip(state.contests, self._solve_measured("finalists", pools, groups), strict=True):
            contest.entrants |= measured
            contest.in_last = list(measured)

    def _last_rung(self) -> None:
        """Train the nets of the last rung with all seeds; their scores on the validation split decide nothing."""
        state, plan = self._state, self._plan
        last = len(plan.rungs) - 1
        self._set_stage(f"rung {last + 1}, the last one", last)
        tasks = {
            (place, name, seed): self._task(contest, name, last, seed)
            for place, contest in enumerate(state.contests)
            for name in contest.in_last
            for seed in range(rungs.LAST_SEEDS)
        }
        results = need(self._found, tasks.values())
        for (place, name, _), result in zip(tasks, results, strict=True):
            contest = state.contests[place]
            contest.add_score(last, name, result["score"])
            contest.validation.setdefault(name, []).append(result["validation"])
        self._set_stage("done", last)

    def _train(self, levels: list[int], names: list[list[str]], *, seed: int = 0) -> None:
        """Add the scores of nets with a seed. For each latency: `levels` has the rung, and `names` has the nets."""
        contests = self._state.contests
        tasks = {
            (place, name): self._task(contests[place], name, levels[place], seed)
            for place, chosen in enumerate(names)
            for name in chosen
        }
        for (place, name), result in zip(tasks, need(self._found, tasks.values()), strict=True):
            contests[place].add_score(levels[place], name, result["score"])

    def _task(self, contest: Contest, name: str, rung: int, seed: int) -> Task:
        last = rung == len(self._plan.rungs) - 1
        payload = _payload(contest.entrants[name], rung, seed, last=last)
        return Task(training_key(_tag(contest.limit_ms), name, rung, seed), "train", payload)

    def _drawn(self, contest: Contest) -> dict[str, list[float]]:
        """Return the scores of the drawn nets in the rung that was trained last."""
        return {name: s for name, s in contest.scores[contest.level].items() if not contest.entrants[name].is_stock}

    def _note(self, contest: Contest, best: set[str], doubtful: int) -> None:
        drawn, rung = self._drawn(contest), contest.level
        stock = {name: s for name, s in contest.scores[rung].items() if contest.entrants[name].is_stock}
        top, first = rungs.ranking(drawn)[0], rungs.ranking(stock)[0]
        epochs = self._plan.rungs[rung].epochs
        contest.notes.append(
            f"{contest.limit_ms:g} ms, after {plural(epochs, 'epoch')}: {len(best)} of {plural(len(drawn), 'net')} "
            f"go on, {doubtful} had a second seed; best {top} "
            f"{percent(fmean(drawn[top]))}, best stock net {first} {percent(fmean(stock[first]))}"
        )

    def _solve_measured(
        self, label: str, pools: list[EntrantPool], groups: list[dict[str, Entrant]]
    ) -> list[dict[str, Entrant]]:
        """Measure nets as a whole, and solve those again whose latency is not as predicted."""
        if self._plan.phone_nets:
            return groups
        groups = [dict(group) for group in groups]
        corrections: dict[tuple[int, str], float] = {}
        wanted = [(place, name) for place, group in enumerate(groups) for name in group]
        for time in range(1, SOLVED_TIMES + 1):
            nets = [_net(groups[place][name]) for place, name in wanted]
            latencies = self._measure(f"{label}-{time}", nets)
            again = []
            for (place, name), latency in zip(wanted, latencies, strict=True):
                entrant = groups[place][name]
                groups[place][name] = dataclasses.replace(entrant, measured_ms=latency)
                ratio = latency / entrant.solved.predicted_ms
                if time == 1:
                    self._state.latency_errors.append(abs(1.0 / ratio - 1.0))
                if abs(ratio - 1.0) > MAX_ERROR and time < SOLVED_TIMES:
                    corrections[place, name] = corrections.get((place, name), 1.0) * ratio
                    corrected = pools[place].corrected(entrant, corrections[place, name])
                    if corrected.solved.width != entrant.solved.width:
                        groups[place][name] = corrected
                        again.append((place, name))
            wanted = again
            if not wanted:
                break
        return groups

    def _measure(self, label: str, nets: list[dict[str, Any]]) -> list[float]:
        """Return the latencies of whole nets in ms, at the speed that the machine had when the scales were measured."""
        (result,) = need(self._found, [measuring_task(self._plan, label, nets)])
        self._state.busy = max(self._state.busy, result["busy"])
        reference, *latencies = result["ms"]
        return [latency * (self._reference_ms or reference) / reference for latency in latencies]

    def _set_stage(self, stage: str, rung: int) -> None:
        self._state.stage, self._state.rung = stage, rung


def check_limits(pools: list[EntrantPool]) -> None:
    """Raise ConfigError with the range where no net can meet a limit."""
    low, high = pools[0].range_ms()
    met = f"{rounded(low, math.ceil)} to {rounded(high, math.floor)} ms"
    for one in pools:
        if not low <= one.limit_ms <= high:
            raise ConfigError(
                f"no net has a latency of {one.limit_ms:g} ms here: expected {met}; change --latency, or move the "
                "range with other image sizes (--image-size)"
            )


def rounded(ms: float, to: Callable[[float], int]) -> str:
    """Return a limit with two digits; `to` rounds it to the side on which nets meet it."""
    step = 10.0 ** (math.floor(math.log10(max(ms, 1e-3))) - 1)
    return f"{to(ms / step) * step:.4g}"


def _net(entrant: Entrant) -> dict[str, Any]:
    return {"table": table_of(entrant.spec, "net"), "input_size": entrant.input_size}


def _payload(entrant: Entrant, rung: int, seed: int, *, last: bool) -> dict[str, Any]:
    return {
        "variant": entrant.name,
        "table": entrant.table,
        "width": entrant.solved.width if entrant.is_stock else 1.0,
        "image_size": entrant.image_size,
        "rung": rung,
        "seed": seed,
        "last": last,
    }


def _tag(limit_ms: float) -> str:
    """Return a latency for the key of a task."""
    return f"{limit_ms:g}ms".replace(".", "_")
