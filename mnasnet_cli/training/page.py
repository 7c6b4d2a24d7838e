"""Writes what the last evaluation showed, and the run's page, at the end of a training."""

from __future__ import annotations

from mnasnet_cli.cards.evaluation import describe_evaluation, write_evaluation
from mnasnet_cli.cards.files import write_cards
from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.runs.directory import RunDirectory
from mnasnet_cli.system.shell import command
from mnasnet_cli.tasks.base import Evaluation, Task


def write_page(run: RunDirectory, task: Task, evaluation: Evaluation | None, step: int) -> None:
    """Write evaluation.json, card.html and card.md. A page that fails is a warning: the training itself is complete.

    Raises EnvironmentProblem if the disk takes no files: the same command, called again, writes what is missing.
    """
    try:
        if evaluation is not None:
            write_evaluation(run.path, describe_evaluation(task, evaluation, step))
        page, _ = write_cards(run.path)
        run.log(f"the page of the run is {page}")
    except EnvironmentProblem:
        raise
    except Exception as error:  # whatever it is, the weights and the results are saved
        run.warn(f"the page of the run was not written ({error}); `{command('card', run.path)}` writes it")
