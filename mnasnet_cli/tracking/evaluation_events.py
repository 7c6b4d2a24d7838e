"""What TensorBoard shows of each evaluation besides numbers: PR curves, and the same few images with predictions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnasnet_cli.metrics.detection_images import LEGEND, ImageScore, draw_image, in_frame_of, match_detections
from mnasnet_cli.pages.sheets import draw_sheet
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.tracking.events import EventLog
from mnasnet_cli.tracking.precision_recall import Counts, count_predictions

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = 8
AMONG = 400  # the pictures are spread over the first images of the split, which are read quickly
CLASSIFIED_TILE, DETECTED_TILE = 160, 320  # px


class EvaluationEvents:
    """Writes the evaluations of one run."""

    def __init__(self, task: Task, events: EventLog):
        self._task, self._events = task, events
        self._records: dict[int, tuple[str, bytes]] = {}

    def write(self, evaluation: Evaluation, step: int) -> None:
        """Write the PR curve and the pictures of an evaluation."""
        if isinstance(self._task, DetectionTask):
            sheet = self._write_detection(self._task, evaluation, step)
        else:
            assert isinstance(self._task, ClassificationTask)
            sheet = self._write_classification(self._task, evaluation, step)
        self._events.images("validation", "predictions", np.asarray(sheet)[np.newaxis], step)

    def _write_classification(self, task: ClassificationTask, evaluation: Evaluation, step: int) -> Image:
        """The curve is that of the most probable class: how often it is right if the net may stay silent."""
        outputs = evaluation.outputs
        correct = outputs["labels"] == outputs["predictions"]
        self._write_curve("answers", count_predictions(outputs["confidences"], correct, len(correct)), step)
        rows = self._rows(outputs["positions"])

        def caption(row: int) -> str:
            true, found = (task.names[outputs[key][row]] for key in ("labels", "predictions"))
            verdict = "correct" if correct[row] else f"wrong, true: {true}"
            return f"{found} {100 * outputs['confidences'][row]:.0f} %\n{verdict}"

        pictures = [self._picture(task, int(outputs["positions"][row])) for row in rows]
        return draw_sheet(pictures, [caption(row) for row in rows], columns=4, tile=CLASSIFIED_TILE)

    def _write_detection(self, task: DetectionTask, evaluation: Evaluation, step: int) -> Image:
        """The curve is over all classes, at an IoU of 0.5."""
        outputs, truth = evaluation.outputs, task.truth
        boxes = task.detections(outputs)
        correct, ignored = match_detections(truth, boxes)
        counts = count_predictions(boxes.scores[~ignored], correct[~ignored], int((~truth.crowd).sum()))
        self._write_curve("detections", counts, step)
        threshold = counts.best_threshold
        shown = (boxes.scores >= threshold) & ~ignored
        pictures, captions = [], []
        for row in self._rows(outputs["positions"]):
            identity, position = int(outputs["image_ids"][row]), int(outputs["positions"][row])
            own = shown & (boxes.image_ids == identity)
            annotated = int(((truth.image_ids == identity) & ~truth.crowd).sum())
            score = ImageScore(identity, 0.0, annotated, np.flatnonzero(own & correct), np.flatnonzero(own & ~correct))
            picture = in_frame_of(truth.images[identity], self._picture(task, position))
            pictures.append(draw_image(truth, boxes, score, picture))
            captions.append(f"{annotated} annotated, {len(score.correct)} correct, {len(score.wrong)} wrong")
        title = f"Detections with a score of at least {threshold:.2f}"
        return draw_sheet(pictures, captions, columns=4, tile=DETECTED_TILE, legend=LEGEND, title=title)

    def _write_curve(self, name: str, counts: Counts, step: int) -> None:
        self._events.precision_recall(name, counts, step)

    def _rows(self, positions: np.ndarray) -> Sequence[int]:
        """Return the rows of the pictures in the outputs, the same images each time."""
        order = np.argsort(positions, kind="stable")
        last = min(len(order), AMONG) - 1
        places = np.unique(np.linspace(0, last, min(PICTURES, last + 1)).round().astype(int))
        if not self._records:
            self._records = self._task.records.eval_records(positions[order[places]].tolist())  # type: ignore[attr-defined]
        return [int(row) for row in order[places]]

    def _picture(self, task: ClassificationTask | DetectionTask, position: int) -> Image:
        from PIL import Image

        opened: Image.Image = Image.open(io.BytesIO(self._records[position][1]))
        return opened if isinstance(task, DetectionTask) else opened.convert("RGB")
