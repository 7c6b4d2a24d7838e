"""Detection: a detector with a MnasNet backbone on COCO-style records, scored by COCO's AP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.coco import CocoRecords, DetectionBatch, anchors_of
from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.metrics import coco_map
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth
from mnasnet_cli.modules.detector import make_detector
from mnasnet_cli.modules.info import model_info
from mnasnet_cli.modules.postprocessing import level_anchors, postprocessing_of, select_boxes
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets.anchor_free import BinnedPredictions
from mnasnet_cli.nets.retinanet import Predictions
from mnasnet_cli.tasks.anchor_free_loss import anchor_free_loss
from mnasnet_cli.tasks.base import Evaluation, Net, RecordTask, Weights
from mnasnet_cli.tasks.coco_results import as_detections, detected_truth, make_truth
from mnasnet_cli.tasks.detection_transfer import detector_start
from mnasnet_cli.tasks.losses import anchor_focal_loss, ciou_loss, giou_loss, huber_loss


class DetectionTask(RecordTask):
    """See `tasks.base.Task`."""

    metric = "AP"
    scratch_note = (
        "training a detector from scratch converges slowly; --backbone MODEL starts from a trained classifier "
        "(`mnasnet train-imagenet`)"
    )

    records: CocoRecords

    def __init__(
        self,
        config: Config,
        data_dir: Path,
        preprocessing: Preprocessing | None = None,
        *,
        eval_split: str = "validation",
    ):
        assert config.detection is not None
        self.options = config.detection
        super().__init__(config, CocoRecords(data_dir, config, eval_split), preprocessing)

    @cached_property
    def labels(self) -> list[str]:
        """The category id of each class 1..K."""
        return [str(identity) for identity in self.records.info.category_ids]

    @cached_property
    def names(self) -> list[str]:
        return list(self.records.info.texts) or self.labels

    @cached_property
    def truth(self) -> GroundTruth:
        """The annotations of the records that are evaluated."""
        info = self.records.info
        categories = dict(zip(info.category_ids, self.names, strict=True))
        return make_truth(self.records.eval_truth(), categories, str(self.records.directory))

    @cached_property
    def postprocessing(self) -> Postprocessing:
        return postprocessing_of(self.options, self.records.info.category_ids)

    def make_model(self) -> SlimModule:
        return make_detector(self.config, len(self.labels))

    def model_info(self) -> dict[str, Any]:
        return model_info(self.config, self.labels, self.names)

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return detector_start(source, info, weights, self.model_info())

    def train_loss(self, net: Net, batch: DetectionBatch, seed: tf.Tensor, weights: Weights) -> tf.Tensor:
        """Class and box loss over the number of matched anchors in the batch (arXiv 1708.02002, section 4.1).

        Without anchors, over the sum of the qualities of the matched positions.
        """
        losses, matched = self.losses(self.forward(net, batch, weights, is_training=True), batch)
        return tf.reshape(tf.reduce_sum(losses) / tf.maximum(1.0, tf.reduce_sum(matched)), [1])

    def sample_images(self, count: int) -> np.ndarray:
        """See `Task`; the matched boxes are drawn, decoded from the anchors' targets; without anchors, all boxes."""
        size, spec = self.config.data.image_size, self.options.spec
        batch = self._first_batch(count)
        drawn = []
        for image, classes, targets in zip(batch.images, batch.class_targets, batch.box_targets, strict=True):
            all_boxes = targets if spec.anchor_free else geometry.decode(targets, anchors_of(size, spec).boxes)
            boxes = tf.boolean_mask(all_boxes, classes > 0) / size
            drawn.append(tf.image.draw_bounding_boxes(image[tf.newaxis], boxes[tf.newaxis], [[0.0, 255.0, 0.0]])[0])
        return np.clip(np.stack(drawn), 0, 255).astype(np.uint8)

    def eval_outputs(self, model: SlimModule, batch: DetectionBatch, weights: Weights) -> dict[str, tf.Tensor]:
        predictions = self.forward(model, batch, weights, is_training=False)
        size = int(batch.images.shape[1])
        found = select_boxes(predictions.class_logits, predictions.box_deltas, size, self.postprocessing)
        losses, matched = self.losses(predictions, batch)
        return {
            "positions": batch.positions,
            "image_ids": batch.image_ids,
            "image_sizes": batch.image_sizes,
            **found,
            "losses": losses,
            "matched": matched,
        }

    def summarize(self, outputs: dict[str, np.ndarray]) -> Evaluation:
        outputs = self._only(outputs["positions"] >= 0, outputs)
        loss = None  # artifacts have no loss
        if "losses" in outputs:
            matched = outputs["matched"].sum(dtype=np.float64)
            loss = float(outputs["losses"].sum(dtype=np.float64) / max(1.0, matched))
        if loss is not None and not math.isfinite(loss):
            return Evaluation({"loss": loss}, outputs)  # a diverged net has no boxes to score
        shown = self.detections(detected_truth(self.truth, outputs))
        coco_map.self_check(self.truth, shown)
        evaluation = coco_map.evaluate_detections(self.truth, self.detections(outputs))
        known = self.records.info.images_in_both_splits if self.records.eval_split == "validation" else 0
        also = {"images_trained_on": known} if known else {}  # a score on training images measures memorization
        return Evaluation({**evaluation.summary(), "loss": loss, **also}, outputs)

    def detections(self, outputs: Mapping[str, np.ndarray]) -> Detections:
        """The boxes of `eval_outputs` in px of the original images."""
        return as_detections(outputs, str(self.records.directory))

    def losses(
        self, predictions: Predictions | BinnedPredictions, batch: DetectionBatch
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the loss of each image and what to divide their sum by, float32 [N]: see `train_loss`."""
        options = self.options
        if options.spec.anchor_free:
            cells = level_anchors(self.postprocessing, int(batch.images.shape[1]))
            return anchor_free_loss(predictions, batch, tf.constant(np.concatenate(cells)), options)
        matched = batch.class_targets > 0
        focal = anchor_focal_loss(
            predictions.class_logits, batch.class_targets, options.focal_alpha, options.focal_gamma
        )
        rows = tf.where(matched)  # [P, 2]: few of many
        deltas, targets = (tf.gather_nd(values, rows) for values in (predictions.box_deltas, batch.box_targets))
        if options.box_loss == "huber":
            box = huber_loss(deltas, targets, options.huber_threshold)
        else:
            anchors = tf.gather(anchors_of(int(batch.images.shape[1]), options.spec).boxes, rows[:, 1])
            overlap = giou_loss if options.box_loss == "giou" else ciou_loss
            box = overlap(geometry.decode(deltas, anchors), geometry.decode(targets, anchors))
        boxes = tf.math.unsorted_segment_sum(box, rows[:, 0], tf.shape(matched)[0])
        total = tf.reduce_sum(focal, axis=1) + options.box_weight * boxes
        return total, tf.reduce_sum(tf.cast(matched, tf.float32), axis=1)
