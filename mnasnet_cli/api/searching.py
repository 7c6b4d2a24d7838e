"""Searches for nets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.api.training import TrainOptions
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.searching.opening import Request, parse_budget, parse_latency, parse_sizes

DEFAULT_RUN_DIR = "runs/search"


@dataclass(frozen=True)
class FoundNets:
    """A search that has ended."""

    run_dir: Path
    """The folder of the search, with a file for each found net."""
    results: dict[str, Any] = field(repr=False)
    """What front.json holds: "fronts" has for each latency the nets, the best first, and what is recommended."""

    @property
    def recommended(self) -> list[TrainOptions]:
        """For each latency, the options of `train` that make the recommended net: variant, width and image_size."""
        from mnasnet_cli.searching.run import recommended_net

        nets = [recommended_net(front, self.run_dir) for front in self.results["fronts"]]
        return [TrainOptions(variant=net["variant"], width=net["width"], image_size=net["image_size"]) for net in nets]


def search(
    recipe: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    latency: float | str | Sequence[float | str] = (),
    run_dir: str | os.PathLike[str] = DEFAULT_RUN_DIR,
    image_size: int | Sequence[int] = (),
    threads: int | None = None,
    int8: bool | None = None,
    candidates: int | None = None,
    budget: float | str | None = None,
    seed: int | None = None,
    init: str | os.PathLike[str] | None = None,
    storage: str | None = None,
    android_results: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> FoundNets:
    """Search for nets that are more accurate than the stock ones at the same latency, on this device and these data.

    The same call again continues an interrupted search; of one that exists, `run_dir` alone is enough.

    Args:
      recipe: with which all nets are trained: name of a shipped recipe, or a YAML file; None: "quick".
      data: folder of records; None: data/imagenet.
      latency: the limit in ms, or text such as "3ms"; or several of them.
      run_dir: folder of the search.
      image_size: of the training in px, or several from which the nets choose; none: the recipe's.
      threads: CPU threads of a net; None: 1.
      int8: the latency is that of int8 nets.
      candidates: nets that are drawn for each latency; None: 24.
      budget: time for the search in seconds, or text such as "2h"; it decides how many nets are drawn.
      seed: of the draws and of the trainings; None: 0.
      init: a trained model from which the nets inherit weights.
      storage: a folder or the URL of a PostgreSQL database through which machines share one search.
      android_results: a folder of `mnasnet search --android` whose script was run: search for that phone.
      fresh: start over; an older search in the folder is moved aside.
      settings: dotted key → value, such as {"training.epochs": 30}.

    Raises:
      ConfigError: an option or a setting is unknown or contradicts another, or no net can meet a latency.
      DataError: there are no records, or too few.
      StoppedByUser: Ctrl-C, or the stop button of a notebook. The same call continues.
    """
    from mnasnet_cli.searching.run import search_nets

    found = search_nets(request_of(
        recipe, data=data, latency=latency, run_dir=run_dir, image_size=image_size, threads=threads, int8=int8,
        candidates=candidates, budget=budget, seed=seed, init=init, storage=storage, android_results=android_results,
        fresh=fresh, assignments=[f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()],
    ))  # fmt: skip
    return FoundNets(found.run_dir, {**found.outcome})


def request_of(
    recipe: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    latency: float | str | Sequence[float | str] = (),
    run_dir: str | os.PathLike[str] = DEFAULT_RUN_DIR,
    image_size: int | str | Sequence[int] = (),
    budget: float | str | None = None,
    init: str | os.PathLike[str] | None = None,
    android_results: str | os.PathLike[str] | None = None,
    assignments: Sequence[str] = (),
    **options: Any,
) -> Request:
    """Return what a search was asked for: the arguments of `search`, some of them as text, and those of `--set`.

    Raises:
      ConfigError: a latency, an image size, a budget or a number is none.
    """
    for name, least in (("candidates", 2), ("threads", 1), ("seed", 0)):
        value = options.get(name)
        if value is not None and (type(value) is not int or value < least):
            raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")
    if isinstance(budget, int | float):
        budget = f"{budget:f}s"
    limits = [latency] if isinstance(latency, int | float | str) else latency
    sizes = [image_size] if isinstance(image_size, int | str) else image_size
    return Request(
        run_dir=Path(run_dir),
        data=Path(data) if data is not None else None,
        limits_ms=tuple(parse_latency(str(limit)) for limit in limits),
        image_sizes=parse_sizes(",".join(map(str, sizes))) if sizes else (),
        recipe=os.fspath(recipe) if recipe is not None else None,
        assignments=tuple(assignments),
        budget_seconds=None if budget is None else parse_budget(budget),
        init=os.fspath(init) if init is not None else None,
        phone=Path(android_results) if android_results is not None else None,
        **options,
    )
