"""Evaluates the newest checkpoint of a run for its page, if the training kept no evaluation."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.cards.evaluation import describe_evaluation, write_evaluation
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import DataError
from mnasnet_cli.evaluation.classifier import ClassifierEvaluation
from mnasnet_cli.evaluation.detector import DetectorEvaluation
from mnasnet_cli.evaluation.scoring import evaluate_model
from mnasnet_cli.runs.run_files import read_environment


def evaluate_run(run_dir: Path, data_dir: Path, task: TaskName) -> None:
    """Evaluate the newest checkpoint on the validation split and write evaluation.json into the run.

    Raises:
      DataError: no records, or others than those of the training.
      CheckpointError: the run has no checkpoint.
    """
    kind = DetectorEvaluation if task == "detection" else ClassifierEvaluation
    report, scored, evaluation = evaluate_model(kind, str(run_dir), data_dir)
    found = describe_evaluation(scored.task, evaluation, report["step"])
    recorded = read_environment(run_dir).get("data") or {}
    if recorded.get("fingerprint") not in (None, found["fingerprint"]):
        raise DataError(
            f"{data_dir} holds other records than {run_dir} was trained on (fingerprint {found['fingerprint'][:12]}, "
            f"expected {str(recorded.get('fingerprint'))[:12]}); name the folder that holds the run's own records"
        )
    write_evaluation(run_dir, found)
