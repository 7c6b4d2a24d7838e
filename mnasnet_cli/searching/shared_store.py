"""A store that several machines share, kept by Optuna: its journal in a folder, or a PostgreSQL database.

A task is a trial: waiting, running, complete, or failed if its process died. Optuna's samplers and pruners are not
used: they don't resume exactly. Any dashboard for Optuna shows the study.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import ConfigError, EnvironmentProblem, MnasnetError
from mnasnet_cli.searching.tasks import Task, read_result
from mnasnet_cli.system.files import make_folder
from mnasnet_cli.system.optional_packages import install_command

JOURNAL_FILE = "search.journal"
HEARTBEAT_SECONDS = 15.0
DEAD_SECONDS = 90.0
"""Without a heartbeat, after which a process counts as dead, by the clock of the process that watches."""
PLAN_SECONDS = 60.0
"""A process that has made the study stores its plan at once, unless it is killed; so long the others wait for it."""
ANEW = "choose another --seed or --storage"
"""How to start over: --fresh does not reach what machines share."""
_PLAN, _TASK, _RESULT, _BEAT = "plan", "task", "result", "heartbeat"


def connect(storage: str) -> Any:
    """Return Optuna's storage by the value of --storage: a folder, or a URL such as postgresql://user@host/database.

    Raises:
      EnvironmentProblem: Optuna is not installed, or the database can't be reached.
      ConfigError: another kind of URL.
    """
    try:
        import optuna
    except ImportError:
        raise EnvironmentProblem(f"--storage needs Optuna; run `{install_command('search')}`") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    is_folder = "://" not in storage
    try:
        if is_folder:
            return optuna.storages.JournalStorage(_journal(storage))
        database = optuna.storages.RDBStorage(_url(storage), engine_kwargs={"pool_pre_ping": True})
        return optuna.storages.get_storage(database)  # which reads finished trials once
    except ImportError:
        raise EnvironmentProblem(f"PostgreSQL needs its driver; run `{install_command('search')}`") from None
    except MnasnetError:
        raise
    except Exception as error:
        what, remedy = ("journal", "choose another folder") if is_folder else ("database", "check the URL")
        raise EnvironmentProblem(f"the {what} of --storage can't be used: {_reason(error)}; {remedy}") from error


def _journal(storage: str) -> Any:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    folder = Path(storage)
    if not storage or (folder.exists() and not folder.is_dir()):
        found = f"--storage {storage} is a file" if storage else "--storage is empty"
        raise ConfigError(f"{found}; name a folder that all machines share, or a URL")
    make_folder(folder)
    path = str(folder / JOURNAL_FILE)
    # Not Optuna's other lock, a link to the journal: where that leads nowhere, as from a relative path or under another
    # name of the folder, the lock of a killed process is never released.
    return JournalFileBackend(path, JournalFileOpenLock(path))


def _url(storage: str) -> str:
    if not re.match(r"postgres(ql)?(\+\w+)?://", storage):
        raise ConfigError(
            f"--storage {re.sub('//.*@', '//…@', storage)}: expected a folder, or a URL that begins with postgresql://"
        )
    return re.sub(r"^postgres(ql)?://", "postgresql+pg8000://", storage)


def _reason(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())[:200]


class _Calls:
    """The methods of Optuna's storage. A failure is one line: the database may be away, or the journal damaged."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError

        method = getattr(self._storage, name)

        def call(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except (DuplicatedStudyError, UpdateFinishedTrialError):  # what another process was faster with
                raise
            except Exception as error:
                raise EnvironmentProblem(
                    f"the storage of the search fails: {_reason(error)}; what is done is kept, and the same command "
                    "goes on"
                ) from error

        return call


class SharedStore:
    """See `store.Store`."""

    def __init__(
        self, storage: Any, name: str, *, heartbeat: float = HEARTBEAT_SECONDS, dead: float = DEAD_SECONDS
    ) -> None:
        """Open the search of a name in a storage, or begin it.

        Args:
          storage: from `connect`.
          name: of the search; the same for all processes that join it.
          heartbeat, dead: seconds between two signs of life, and without one until a process is dead.
        """
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        self._storage, self._heartbeat, self._dead = _Calls(storage), heartbeat, dead
        self._me = uuid.uuid4().hex[:12]
        self._seen: dict[int, tuple[Any, float]] = {}  # trial → its last sign of life, and when it was new
        self._mine = -1  # the trial that this process works on
        self._created = True
        try:
            self._study = self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        except DuplicatedStudyError:
            self._study, self._created = self._storage.get_study_id_from_name(name), False

    def load_plan(self) -> dict[str, Any] | None:
        """See `Store`. A process that did not make the study waits for the one that did."""
        ends = time.monotonic() + PLAN_SECONDS
        while True:
            plan: dict[str, Any] | None = self._storage.get_study_user_attrs(self._study).get(_PLAN)
            if plan is not None or self._created or time.monotonic() > ends:
                return plan
            time.sleep(0.5)

    def begin(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """See `Store`."""
        self._storage.set_study_user_attr(self._study, _PLAN, dict(plan))
        return dict(plan)

    def results(self) -> Mapping[str, Any]:
        """See `Store`. The first complete trial of a task counts."""
        from optuna.trial import TrialState

        found: dict[str, Any] = {}
        for trial in self._storage.get_all_trials(self._study, deepcopy=False, states=(TrialState.COMPLETE,)):
            key, tree = trial.user_attrs[_TASK], trial.user_attrs[_RESULT]
            if key not in found:
                found[key] = read_result(key, tree, f"the result of {key} in the storage", ANEW)
        return found

    @contextlib.contextmanager
    def claim(self, task: Task) -> Iterator[bool]:
        """See `Store`."""
        trial = self._take(task)
        if trial is None:
            yield False
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(trial, ended), daemon=True)
        thread.start()
        try:
            self._mine = trial
            yield True
        finally:
            ended.set()
            thread.join()
            self._give_back(trial)

    def put(self, task: Task, result: Mapping[str, Any]) -> None:
        """See `Store`."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with contextlib.suppress(UpdateFinishedTrialError):  # we were taken for dead, and another process did it
            self._storage.set_trial_user_attr(self._mine, _RESULT, dict(result))
            score = float(result.get("score") or 0.0)
            self._storage.set_trial_state_values(self._mine, TrialState.COMPLETE, [score])

    def close(self) -> None:
        """See `Store`."""
        self._storage.remove_session()

    def _take(self, task: Task) -> int | None:
        """Return the trial of a task that is now ours; None if another process has it."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState, create_trial

        trials = self._trials_of(task.key)
        for trial in trials:
            if trial.state == TrialState.COMPLETE or (trial.state == TrialState.RUNNING and not self._is_dead(trial)):
                return None
        for trial in trials:
            if trial.state == TrialState.RUNNING:
                with contextlib.suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if not waiting:
            template = create_trial(state=TrialState.WAITING, user_attrs={_TASK: task.key, "kind": task.kind})
            self._storage.create_new_trial(self._study, template)
            # Two processes may each have added a trial; both try to take the first one.
            waiting = self._trials_of(task.key)
        first = waiting[0]
        try:
            taken = first.state == TrialState.WAITING and self._storage.set_trial_state_values(
                first._trial_id, TrialState.RUNNING
            )
        except UpdateFinishedTrialError:
            return None
        return first._trial_id if taken else None

    def _trials_of(self, key: str) -> list[Any]:
        """Return the trials of a task that have not failed, by their number."""
        from optuna.trial import TrialState

        trials = self._storage.get_all_trials(self._study, deepcopy=False)
        found = [one for one in trials if one.user_attrs.get(_TASK) == key and one.state != TrialState.FAIL]
        return sorted(found, key=lambda one: one.number)

    def _is_dead(self, trial: Any) -> bool:
        """Return whether a running trial has given no new sign of life for so long as we watch."""
        sign, now = trial.user_attrs.get(_BEAT), time.monotonic()
        last, since = self._seen.get(trial._trial_id, (None, now))
        if trial._trial_id not in self._seen or sign != last:
            self._seen[trial._trial_id] = sign, now
            return False
        return now - since > self._dead

    def _beat(self, trial: int, ended: threading.Event) -> None:
        """Give signs of life until the claim ends."""
        count = 0
        while True:
            # The database may be away for a moment; what counts is that the signs go on.
            with contextlib.suppress(Exception):
                self._storage.set_trial_user_attr(trial, _BEAT, [self._me, count])
            count += 1
            if ended.wait(self._heartbeat):
                return

    def _give_back(self, trial: int) -> None:
        """Let a trial without a result fail, so that another process takes its task at once."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with contextlib.suppress(UpdateFinishedTrialError):
            if self._storage.get_trial(trial).state == TrialState.RUNNING:
                self._storage.set_trial_state_values(trial, TrialState.FAIL)
