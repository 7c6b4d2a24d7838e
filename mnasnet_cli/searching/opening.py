"""Begins a search, or opens one that exists: checks what was asked before any work, and says what contradicts."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnasnet_cli import __version__
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.console import begin, say
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.records.dataset_info import DatasetInfo, folder_fingerprint, load_dataset_info
from mnasnet_cli.runs.directory import move_aside
from mnasnet_cli.searching.execution import TRAININGS, Workplace
from mnasnet_cli.searching.held_out import FOLDER as RECORDS_FOLDER
from mnasnet_cli.searching.held_out import check_records, make_records
from mnasnet_cli.searching.phones import read_phone_nets
from mnasnet_cli.searching.plan import PhoneNet, Plan
from mnasnet_cli.searching.rungs import MIN_RECIPE_EPOCHS
from mnasnet_cli.searching.shared_store import ANEW, SharedStore, connect
from mnasnet_cli.searching.store import PLAN_FILE, FolderStore, Store
from mnasnet_cli.system.documents import JsonObject, read_sound_json, validate
from mnasnet_cli.system.files import has_visible_files, make_folder, write_atomically
from mnasnet_cli.system.machine import host

SHARED_FILE = "shared.json"
"""In the folder of a process that shares a search by --storage: which search that is."""
DEFAULT_RECIPE, DEFAULT_CANDIDATES, DEFAULT_DATA = "quick", 24, Path("data/imagenet")
_UNITS_MS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_UNITS_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Request:
    """What was asked for; None for what was not said: a search that exists keeps its own.

    limits_ms, budget_seconds: from `parse_latency` and `parse_budget`. assignments: of --set. phone: the folder of
    --android-results.
    """

    run_dir: Path
    data: Path | None = None
    limits_ms: tuple[float, ...] = ()
    threads: int | None = None
    int8: bool | None = None
    image_sizes: tuple[int, ...] = ()
    recipe: str | None = None
    assignments: Sequence[str] = ()
    seed: int | None = None
    candidates: int | None = None
    budget_seconds: float | None = None
    init: str | None = None
    phone: Path | None = None
    storage: str | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Opened:
    """A search that can go on. can_measure: whether this machine is the one that latencies are of."""

    plan: Plan
    store: Store
    place: Workplace
    can_measure: bool


def parse_latency(text: str) -> float:
    """Return a latency such as "3ms" in ms. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|us|µs|s|)", text.strip())
    if not found or float(found[1]) <= 0:
        raise ConfigError(f"--latency {text!r} is no latency; expected one such as 3ms")
    return float(found[1]) * _UNITS_MS[found[2]]


def parse_budget(text: str) -> float:
    """Return a duration such as "2h" or "1h30m" in seconds. Raises ConfigError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhd])\s*", text)
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", text):
        raise ConfigError(f"--budget {text!r} is no duration; expected one such as 2h, 90m or 1h30m")
    return sum(float(number) * _UNITS_SECONDS[unit] for number, unit in parts)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Return image sizes such as "128" or "128,160", without repetitions. Raises ConfigError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,5}", part) and 32 <= int(part) <= 4096 for part in parts):
        raise ConfigError(f"--image-size {text!r}: expected sizes from 32 to 4096 px, such as 128 or 128,160")
    return tuple(dict.fromkeys(int(part) for part in parts))


def open_search(request: Request) -> Opened:
    """Check a request, and begin the search or open the one that the folder or the storage holds.

    Raises:
      ConfigError: a setting is missing, or differs from the search that exists; or it was begun on another processor.
      DataError: there are no records, too few, or others than those of the search.
    """
    here = host(())["cpu"]["name"]
    run_dir = request.run_dir
    folder = FolderStore(run_dir)
    _check_folder(request, folder)
    stored = None if request.storage is not None or request.fresh else folder.load_plan()
    plan = _continued(request, _plan_from(stored, request), folder) if stored else _new_plan(request, here)
    if request.fresh:
        _move_aside(folder, run_dir)
    name = plan.name
    storage = connect(request.storage) if request.storage is not None else None
    if storage is not None:
        _mark_shared(run_dir, name)
    records = make_records(Path(plan.data), run_dir)
    plan = dataclasses.replace(plan, train_images=load_dataset_info(records).splits["train"].examples)
    _check_batch_size(plan)
    store: Store = folder
    if storage is not None:
        store = SharedStore(storage, name)
        stored = store.load_plan()
        plan = _joined(plan, _plan_from(stored, request)) if stored else plan
    if stored is None:
        plan = _joined(plan, _plan_from(store.begin(plan.to_json()), request))
    can_measure = bool(plan.phone_nets) or plan.device == here
    if not can_measure and request.storage is None:
        raise ConfigError(
            f"{run_dir} was begun on {plan.device}, but this is {here}: their latencies can't be compared; go on "
            "there, or choose another --run-dir"
        )
    if not can_measure:
        say(f"this machine trains only: latencies come from the machine with {plan.device}")
    return Opened(plan, store, Workplace(run_dir, Path(plan.data)), can_measure)


def _check_folder(request: Request, folder: FolderStore) -> None:
    """Raise ConfigError if the folder can't be that of the search: nothing may be mixed."""
    path = request.run_dir
    own = [(path / name).exists() for name in (PLAN_FILE, SHARED_FILE, RECORDS_FOLDER)]
    if has_visible_files(path) and not any(own):
        raise ConfigError(f"{path} holds other files and no search ({PLAN_FILE} is missing); choose another --run-dir")
    if request.storage is None:
        if (path / SHARED_FILE).exists() and not request.fresh:
            raise ConfigError(
                f"{path} belongs to a search with --storage; repeat its whole command, or choose another --run-dir"
            )
    elif request.fresh:
        raise ConfigError(f"--fresh does not reach what other machines share; {ANEW}")
    elif folder.load_plan() is not None:
        raise ConfigError(f"{path} holds a search without --storage; choose another --run-dir")


def _mark_shared(run_dir: Path, name: str) -> None:
    """Write into the folder which shared search it belongs to. Raises ConfigError if it holds trainings of another."""
    found = read_sound_json(run_dir / SHARED_FILE, JsonObject) or {}
    if found.get("search") != name and has_visible_files(run_dir / TRAININGS):
        raise ConfigError(
            f"{run_dir} holds trainings of a search with other settings or images; repeat its whole command, or choose "
            "another --run-dir"
        )
    make_folder(run_dir)
    write_atomically(run_dir / SHARED_FILE, json.dumps({"search": name}) + "\n")


def _check_batch_size(plan: Plan) -> None:
    batch_size = plan.config["training"]["batch_size"]
    if plan.train_images < batch_size:
        raise ConfigError(
            f"{plan.train_images:,} images are left to train on, fewer than the batch size {batch_size}; lower it with "
            "--set training.batch_size=N"
        )


def settings_for_phone(request: Request) -> Plan:
    """Return the settings for which `--android` writes nets; latencies and the size of the set don't matter yet."""
    return _new_plan(dataclasses.replace(request, limits_ms=request.limits_ms or (1.0,)), "a phone")


def _new_plan(request: Request, here: str) -> Plan:
    if not request.limits_ms:
        raise ConfigError("--latency is missing; name a limit such as --latency 3ms")
    data = request.data or DEFAULT_DATA
    info = load_dataset_info(data, "imagenet")
    check_records(info)
    recipe = request.recipe or DEFAULT_RECIPE
    config = load_config(recipe, task="classification", assignments=request.assignments)
    epochs = config.training.epochs
    if epochs < MIN_RECIPE_EPOCHS:
        raise ConfigError(
            f"training.epochs={epochs} is too few to compare nets; expected at least {MIN_RECIPE_EPOCHS}, "
            f"for example --set training.epochs={MIN_RECIPE_EPOCHS}"
        )
    if config.training.batch_size == 0:
        raise ConfigError("training.batch_size=auto may differ from net to net; set it to a number")
    if request.candidates is not None and request.budget_seconds is not None:
        raise ConfigError("--candidates and --budget exclude each other: the budget decides how many nets are drawn")
    candidates = request.candidates
    if candidates is None and request.budget_seconds is None:
        candidates = DEFAULT_CANDIDATES
    plan = Plan(
        data=str(data),
        fingerprint=folder_fingerprint(info),
        classes=info.classes,
        train_images=info.splits["train"].examples,
        limits_ms=tuple(dict.fromkeys(request.limits_ms)),
        threads=request.threads or 1,
        int8=bool(request.int8),
        image_sizes=request.image_sizes or (config.data.image_size,),
        recipe=recipe,
        assignments=tuple(request.assignments),
        config=config.model_dump(mode="json"),
        seed=request.seed or 0,
        candidates=candidates,
        budget_seconds=request.budget_seconds,
        init=request.init,
        init_digest=_init_digest(request.init) if request.init else None,
        device=here,
    )
    if request.phone is not None:
        device, nets = read_phone_nets(request.phone, plan)
        plan = dataclasses.replace(plan, device=device, phone_nets=nets)
    return plan


def _init_digest(init: str) -> str:
    """Return the digest of the model that nets inherit from. Raises ConfigError if they can't."""
    begin(f"reading {init}")
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint
    from mnasnet_cli.checkpoints.restoring import net_config
    from mnasnet_cli.searching.nets.inheritance import check_trained_net

    contents = read_checkpoint(find_checkpoint(init))
    if contents.task != "classification":
        raise ConfigError(f"--init {init} is a detector; name a classifier")
    check_trained_net(init, net_config(contents).model.spec)
    return contents.weights_sha256


def _plan_from(stored: Mapping[str, Any], request: Request) -> Plan:
    """Return a plan of the store, with the folders and models of this machine."""
    if request.storage is not None:
        return validate(dict(stored), Plan, "the plan in --storage", ANEW)  # its name holds the version
    plan = validate(dict(stored), Plan, str(request.run_dir / PLAN_FILE), "start over with --fresh")
    if plan.version != __version__:
        raise ConfigError(
            f"{request.run_dir} was begun with mnasnet {plan.version}, and this is {__version__}, which may draw other "
            "nets; go on with that version, or start over with --fresh"
        )
    data = str(request.data) if request.data else plan.data
    return dataclasses.replace(plan, data=data, init=request.init or plan.init)


def _joined(own: Plan, stored: Plan) -> Plan:
    """Return the stored plan with the folders of this machine; the settings are the same, but not the device."""
    return dataclasses.replace(stored, data=own.data, init=own.init)


def _continued(request: Request, stored: Plan, folder: FolderStore) -> Plan:
    """Return the plan of a search that exists, after comparing it with what was asked.

    Before the first training most settings may change, as after a limit that no net meets; what was measured counts.

    Raises:
      ConfigError: a setting differs. DataError: the records do.
    """
    config: dict[str, Any] | None = None
    if request.recipe is not None or request.assignments:
        recipe = request.recipe or stored.recipe
        loaded = load_config(recipe, task="classification", assignments=request.assignments)
        config = loaded.model_dump(mode="json")
    asked: list[tuple[str, Any, Any]] = [
        ("--latency", request.limits_ms or None, stored.limits_ms),
        ("--threads", request.threads, stored.threads),
        ("--int8", request.int8, stored.int8),
        ("--image-size", request.image_sizes or None, stored.image_sizes),
        ("--config or --set", config, stored.config),
        ("--seed", request.seed, stored.seed),
        ("--candidates", request.candidates, stored.candidates),
        ("--budget", request.budget_seconds, stored.budget_seconds),
        ("--init", _init_digest(request.init) if request.init else None, stored.init_digest),
    ]
    if request.phone is not None:
        asked.append(("--android-results", read_phone_nets(request.phone, stored)[1], stored.phone_nets))
    others = [(flag, new, old) for flag, new, old in asked if new is not None and new != old]
    fixed = {*_FIXED, *(_FIXED_BY_PHONES if stored.phone_nets else ())}
    may_change = bool(others) and not fixed & {flag for flag, *_ in others}
    may_change = may_change and not folder.has_trainings() and folder.is_idle()
    if not may_change:
        for flag, new, old in others:
            raise ConfigError(
                f"{request.run_dir} was begun with another {flag}{_difference(new, old)}; leave it out to go on, or "
                "choose another --run-dir, or start over with --fresh"
            )
    info = load_dataset_info(Path(stored.data), "imagenet")
    _check_fingerprint(info, stored)
    if may_change:
        stored = _with_changes(request, stored)
        folder.replace_plan(stored.to_json())
        say(f"nothing is trained yet: {', '.join(flag for flag, *_ in others)} changed; what was measured counts")
    return stored


_FIXED = ("--threads", "--int8", "--android-results")
"""What the measured latencies are of."""
_FIXED_BY_PHONES = ("--image-size", "--config or --set")


def _with_changes(request: Request, stored: Plan) -> Plan:
    """Return the plan of a search that has trained nothing, with what was asked for now."""
    decided = request.candidates is not None or request.budget_seconds is not None
    filled = dataclasses.replace(
        request,
        data=Path(stored.data),
        limits_ms=request.limits_ms or stored.limits_ms,
        threads=stored.threads,
        int8=stored.int8,
        image_sizes=request.image_sizes or stored.image_sizes,
        recipe=request.recipe or stored.recipe,
        assignments=request.assignments or stored.assignments,
        seed=stored.seed if request.seed is None else request.seed,
        candidates=request.candidates if decided else stored.candidates,
        budget_seconds=request.budget_seconds if decided else stored.budget_seconds,
        init=request.init or stored.init,
        phone=None,
    )
    plan = _new_plan(filled, stored.device)
    return dataclasses.replace(plan, train_images=stored.train_images, phone_nets=stored.phone_nets)


def _check_fingerprint(info: DatasetInfo, plan: Plan) -> None:
    if folder_fingerprint(info) != plan.fingerprint:
        raise ConfigError(
            f"{info.directory} holds other records than the search was begun with; name the right --data, or start "
            "over with --fresh"
        )


def _difference(new: Any, old: Any) -> str:
    """Return in brackets what a setting was and what it is now; "" for a digest, a recipe or the nets of a phone."""
    if isinstance(new, str | dict) or (isinstance(new, tuple) and isinstance(new[0], PhoneNet)):
        return ""
    return f" ({_shown(old)}, now {_shown(new)})"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _move_aside(folder: FolderStore, run_dir: Path) -> None:
    if not folder.is_idle():
        raise ConfigError(f"another process works on the search in {run_dir}; end it before --fresh")
    if has_visible_files(run_dir):
        move_aside(run_dir, "search")
