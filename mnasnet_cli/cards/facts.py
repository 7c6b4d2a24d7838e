"""Reads what a run directory holds, without TensorFlow. Files that are missing or damaged are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mnasnet_cli.cards.side_files import Export, Latency, read_exports, read_latencies
from mnasnet_cli.config.loading import load_config, validate
from mnasnet_cli.config.recipes import shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import CheckpointError, ConfigError, MnasnetError
from mnasnet_cli.modules.info import net_cost
from mnasnet_cli.records.dataset_file import read_dataset_file
from mnasnet_cli.records.dataset_info import folder_fingerprint, load_dataset_info
from mnasnet_cli.records.shards import DATASET_FILE
from mnasnet_cli.runs.directory import differences
from mnasnet_cli.runs.run_files import (
    CONFIG_FILE,
    Environment,
    MetricsLine,
    RecordedData,
    Results,
    RunEvaluation,
    read_config,
    read_environment,
    read_evaluation,
    read_metrics,
    read_results,
)
from mnasnet_cli.system.documents import Missing

METRICS = {"classification": "top1", "detection": "AP"}
METRIC_NAMES = {"classification": "top-1", "detection": "AP"}
# Keys in which a run may differ from a recipe and still follow it.
FREE_KEYS = (
    "model.variant",
    "model.width",
    "model.table",
    "data.image_size",
    "training.epochs",
    "training.batch_size",
    "training.seed",
)


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run.

    Attributes:
      stored: the configuration as config.yaml has it.
      results, evaluation: results.json and evaluation.json; None if they are missing.
      dataset: dataset.json of the records that the run was trained on; {} if they are not found.
      dataset_note: why `dataset` is empty.
      exports: the manifests below `export/`, each with `bytes`, the size of its files.
      latencies: the rows of all latency.json.
    """

    path: Path
    config: Config
    stored: Mapping[str, Any]
    environment: Environment
    metrics: Sequence[MetricsLine]
    results: Results | None
    evaluation: RunEvaluation | None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    dataset_note: str = ""
    exports: Sequence[Export] = ()
    latencies: Sequence[Latency] = ()

    @property
    def metric(self) -> str:
        """The key of the number that ranks runs: "top1" or "AP"."""
        return METRICS[self.config.task]

    @property
    def data_dir(self) -> str:
        """The folder of the records, as recorded; "" if unknown."""
        return str(self.environment.get("data", {}).get("directory", ""))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the records; "" if unknown."""
        return str(self.environment.get("data", {}).get("fingerprint", ""))

    @property
    def net(self) -> str:
        """The net in words: "b1", "small ×0.5", "my-net (170d1eec)"."""
        return self._at_width(self.config.model.label)

    @property
    def net_title(self) -> str:
        """The same with the family: "MnasNet b1"."""
        return self._at_width(self.config.model.title)

    def _at_width(self, net: str) -> str:
        width = self.config.model.width
        return net if width == 1.0 else f"{net} ×{width:g}"

    @property
    def final(self) -> float | None:
        """The metric of the last evaluation."""
        if self.results is not None:
            return _number(self.results.get(self.metric))
        return next((value for value in reversed(self._scores)), None)

    @property
    def best(self) -> float | None:
        """The metric of the best evaluation."""
        stored = _number((self.results or {}).get(f"best_{self.metric}"))
        return stored if stored is not None else max(self._scores, default=None)

    @property
    def _scores(self) -> list[float]:
        values = [_number(line.get(self.metric)) for line in self.metrics if line.get("split") == "validation"]
        return [value for value in values if value is not None]

    @property
    def seconds(self) -> float | None:
        """The time that the training took."""
        if self.results is not None:
            return _number(self.results.get("seconds"))
        return max(
            (value for line in self.metrics if (value := _number(line.get("seconds"))) is not None), default=None
        )

    @property
    def epochs_done(self) -> float:
        """The epochs that were trained, as far as metrics tell."""
        return max((value for line in self.metrics if (value := _number(line.get("epoch"))) is not None), default=0.0)

    @property
    def state(self) -> str:
        """ "finished", "stopped early", or "unfinished"."""
        if self.results is None:
            return "unfinished"
        return "stopped early" if self.results.get("stopped_early") else "finished"

    @cached_property
    def classes(self) -> int | None:
        """The number of classes, None if no file tells it."""
        for rows in (self.results and self.results.get("per_class"), self.evaluation and self.evaluation["classes"]):
            if rows:
                return len(rows)
        if isinstance(self.dataset.get("classes"), int):
            return int(self.dataset["classes"])
        return next((len(manifest["labels"]) for manifest in self.exports if manifest.get("labels")), None)

    @cached_property
    def cost(self) -> tuple[int | None, int | None]:
        """Parameters, and multiply-adds for one image; None if the number of classes is unknown."""
        if self.classes is None:
            return None, None
        return net_cost(self.config, self.config.eval_size, self.classes)

    @cached_property
    def recipe(self) -> tuple[str, list[tuple[str, Any, Any]]]:
        """A shipped recipe, and (key, its value, the run's value) where the run differs from it.

        It is the recipe that the recorded command names, else the one that differs least.
        """
        own = self.config.comparable()
        found = []
        for name in shipped_configs(self.config.task):
            try:
                recipe = load_config(name, task=self.config.task).model_dump(mode="json")
            except ConfigError:  # a recipe that needs further settings
                continue
            changed = differences(recipe, own)
            distance = sum(key not in FREE_KEYS for key, _, _ in changed)
            found.append((name != self.recipe_option, distance, name, changed))
        _, _, name, changed = min(found, key=lambda row: row[:3], default=(0, 0, "", differences({}, own)))
        return name, changed

    @property
    def recipe_option(self) -> str | None:
        """The value of --config in the recorded command."""
        words = self.command
        for number, word in enumerate(words):
            if word == "--config" and number + 1 < len(words):
                return words[number + 1]
            if word.startswith("--config="):
                return word.partition("=")[2]
        return None

    @property
    def command(self) -> list[str]:
        """The recorded command line, from "mnasnet"; [] if the run was started from another program."""
        words = [str(word) for word in self.environment.get("command") or ()]
        started = len(words) > 1 and words[1] in ("train-imagenet", "train-coco")
        return ["mnasnet", *words[1:]] if started else []

    @property
    def latency(self) -> float | None:
        """The smallest measured median latency of one image, ms."""
        known = [_number(row.get("p50_ms")) for row in self.latencies if row.get("batch_size", 1) == 1]
        return min((value for value in known if value is not None), default=None)


def read_facts(run_dir: Path, data: Path | None = None) -> RunFacts:
    """Read a run directory.

    Args:
      data: where the records are; None: where they were in the training.

    Raises:
      CheckpointError: there is no run.
      ConfigError: config.yaml is damaged, or of a net that this version doesn't know.
    """
    stored = read_config(run_dir)
    if stored is None:
        raise CheckpointError(
            f"{run_dir} is no run ({CONFIG_FILE} is missing); name the folder of a training (--run-dir)"
        )
    config = validate(stored, str(run_dir / CONFIG_FILE))
    environment = read_environment(run_dir)
    dataset, note = _read_dataset(environment.get("data", {}), data)
    return RunFacts(
        run_dir,
        config,
        stored,
        environment,
        read_metrics(run_dir),
        read_results(run_dir),
        read_evaluation(run_dir, config.task),
        dataset,
        note,
        read_exports(run_dir),
        read_latencies(run_dir),
    )


def _read_dataset(recorded: RecordedData, data: Path | None) -> tuple[Mapping[str, Any], str]:
    """Return dataset.json, or {} and the reason."""
    folder = str(data or recorded.get("directory") or "")
    if not folder:
        return {}, "The run doesn't say which records it was trained on."
    try:
        found = read_dataset_file(Path(folder))
        fingerprint = folder_fingerprint(load_dataset_info(Path(folder)))
    except Missing:
        return {}, f"{folder} has no {DATASET_FILE}, so sizes and findings of the data set are left out (--data DIR)."
    except (MnasnetError, OSError) as error:
        return {}, f"The records can't be read ({error}), so sizes and findings are left out."
    if recorded.get("fingerprint") not in (None, fingerprint):
        return {}, f"{folder} holds other records now than in the training, so their numbers are left out (--data DIR)."
    return found, ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
