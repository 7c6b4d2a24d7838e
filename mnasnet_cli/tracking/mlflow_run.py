"""A training as a run of MLflow (`training.track: mlflow`): settings, metrics and files.

Where to is MLflow's own affair: MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME. The metrics come from metrics.jsonl, so
what could not be sent is sent later, and a resumed run goes on without a metric twice.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

from typing_extensions import TypedDict

from mnasnet_cli import __version__
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import EnvironmentProblem, Stopped, first_line
from mnasnet_cli.runs import directory, run_files
from mnasnet_cli.runs.directory import MLFLOW_FILE, RunDirectory
from mnasnet_cli.runs.run_files import read_environment, read_metrics
from mnasnet_cli.system.documents import read_sound_json
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.optional_packages import install_command
from mnasnet_cli.tracking.events import flat_settings

EXPERIMENT = "mnasnet"
ARTIFACTS = (
    run_files.CONFIG_FILE, run_files.ENVIRONMENT_FILE, run_files.METRICS_FILE, run_files.RESULTS_FILE,
    directory.LOG_FILE, directory.CURVES_FILE, run_files.EVALUATION_FILE, directory.PAGE_FILE, directory.CARD_FILE,
)  # fmt: skip
_AT_ONCE = 100  # params, or metrics, in a request
_SILENT_SECONDS = 300
_PARAM_LENGTH = 500  # characters; older servers take no more


class _Remembered(TypedDict):
    """mlflow.json: where the run was sent to."""

    tracking_uri: str
    run_id: str
    sent: int


class MlflowRun:
    """The MLflow run of a run directory. After the start, a server that fails is a warning, given once."""

    def __init__(self, client: Any, experiment: str, run: RunDirectory, config: Config):
        """Continues the MLflow run that the directory has already had at this server, or creates one."""
        self._client, self._run, self._warned = client, run, False
        self._silent_until = 0.0  # after a failure: a server that hangs must not slow down every epoch
        self._sent = -1  # the last step whose metrics have arrived
        found = self._earlier()
        if found is None:
            tags = {
                "task": config.task,
                "variant": config.model.label,
                "width": f"{config.model.width:g}",
                "mnasnet": __version__,
                "records": str(read_environment(run.path).get("data", {}).get("fingerprint", ""))[:12],
                "run_dir": str(run.path.resolve()),
            }
            name = run.path.resolve().name
            self.run_id = str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
            self._quietly(lambda: self._send_settings(config))
        else:
            self.run_id, self._sent = found["run_id"], found["sent"]
            client.update_run(self.run_id, status="RUNNING")
        self._remember()
        run.log(f"MLflow: run {self.run_id} at {client.tracking_uri}")

    def send_metrics(self) -> None:
        """Send the lines of metrics.jsonl that have not arrived yet."""
        if time.monotonic() >= self._silent_until:
            self._quietly(self._send_metrics)

    def end(self, results: Mapping[str, Any] | None, status: str) -> None:
        """Send what is left, the results and the files, and end the MLflow run with a status of MLflow."""

        def send() -> None:
            from mlflow.entities import Metric

            self._send_metrics()
            final = {f"final/{name}": value for name, value in (results or {}).items() if _is_number(value)}
            step, now = int((results or {}).get("steps", 0)), int(1000 * time.time())
            if final:
                self._client.log_batch(self.run_id, [Metric(name, value, now, step) for name, value in final.items()])
            for name in ARTIFACTS if results is not None else ():
                if (self._run.path / name).is_file():
                    self._client.log_artifact(self.run_id, str(self._run.path / name))
            self._client.set_terminated(self.run_id, status)

        self._quietly(send)

    def _earlier(self) -> dict[str, Any] | None:
        found = read_sound_json(self._run.path / MLFLOW_FILE, _Remembered)
        if found is not None and found["tracking_uri"] == self._client.tracking_uri:
            with contextlib.suppress(Exception):  # it was deleted there
                if self._client.get_run(found["run_id"]).info.lifecycle_stage == "active":
                    return dict(found)
        return None

    def _remember(self) -> None:
        known = {"tracking_uri": self._client.tracking_uri, "run_id": self.run_id, "sent": self._sent}
        write_atomically(self._run.path / MLFLOW_FILE, json.dumps(known) + "\n")

    def _send_settings(self, config: Config) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in flat_settings(config).items()]
        for start in range(0, len(params), _AT_ONCE):
            self._client.log_batch(self.run_id, params=params[start : start + _AT_ONCE])

    def _send_metrics(self) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        lines = [line for line in read_metrics(self._run.path) if line["step"] > self._sent]
        metrics = [
            Metric(f"{line['split']}/{name}", float(value), now, line["step"])
            for line in lines
            for name, value in line.items()
            if name != "step" and _is_number(value)
        ]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self.run_id, metrics[start : start + _AT_ONCE])
        if lines:
            self._sent = lines[-1]["step"]
            self._remember()

    def _quietly(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:  # whatever it is, the training goes on
            if not self._warned:
                self._run.warn(f"MLflow can't be reached ({_reason(error)}); the training goes on")
            self._warned, self._silent_until = True, time.monotonic() + _SILENT_SECONDS


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def connect(config: Config) -> tuple[Any, str] | None:
    """Return MLflow's client and the id of the experiment; None if the configuration does not ask for MLflow.

    Raises:
      EnvironmentProblem: MLflow is not installed, or its server can't be reached.
    """
    if config.training.track != "mlflow":
        return None
    if importlib.util.find_spec("mlflow") is None:
        raise EnvironmentProblem(f"training.track=mlflow needs MLflow; install it with `{install_command('mlflow')}`")
    # MLflow's own values would let a training wait for minutes; those of the user win.
    for name, value in (("REQUEST_MAX_RETRIES", "1"), ("REQUEST_TIMEOUT", "10")):
        os.environ.setdefault(f"MLFLOW_HTTP_{name}", value)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # results are all that is printed there
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports each table of a new local store
    from mlflow import MlflowClient

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    try:
        client = MlflowClient()
        known = client.get_experiment_by_name(name)
        return client, known.experiment_id if known is not None else client.create_experiment(name)
    except Exception as error:  # of any store: HTTP, files, a database
        raise _refused(error) from error


@contextlib.contextmanager
def tracked(connection: tuple[Any, str] | None, run: RunDirectory, config: Config) -> Iterator[MlflowRun | None]:
    """Yield the MlflowRun of a run directory, None without a connection; an error in the block ends it.

    Raises:
      EnvironmentProblem: the server takes no run.
    """
    if connection is None:
        yield None
        return
    try:
        tracker = MlflowRun(*connection, run, config)
    except Exception as error:
        raise _refused(error) from error
    try:
        yield tracker
    except BaseException as error:
        tracker.end(None, "KILLED" if isinstance(error, Stopped | KeyboardInterrupt) else "FAILED")
        raise


def _reason(error: Exception) -> str:
    return textwrap.shorten(first_line(error), 160, placeholder=" …")


def _refused(error: Exception) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"MLflow can't be used ({_reason(error)}); check MLFLOW_TRACKING_URI, or train with training.track=none"
    )
