"""The detection job: RetinaNet on a MnasNet, on COCO-style records, scored by COCO's AP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config import Config, DetectionConfig
from mnasnet_cli.data.coco import CocoRecords, DetectionBatch, anchors_of
from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.nms import Detections as Found
from mnasnet_cli.geometry.nms import detect
from mnasnet_cli.metrics import coco_map
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth
from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.retinanet import Predictions, retinanet
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import layer_names
from mnasnet_cli.tasks.detection_results import as_detections, detected_truth, make_truth
from mnasnet_cli.tasks.detection_start import detector_start
from mnasnet_cli.tasks.losses import anchor_focal_loss, ciou_loss, giou_loss, huber_loss
from mnasnet_cli.tasks.record_task import RecordTask, model_info
from mnasnet_cli.tasks.task import Evaluation, Weights
from mnasnet_cli.variables import SlimModule


class DetectionTask(RecordTask):
    """See `tasks.task.Task`."""

    metric = "AP"
    scratch_note = (
        "training a detector from scratch is slow to converge; --backbone MODEL starts from a trained classifier "
        "(`mnasnet train-imagenet`)"
    )

    records: CocoRecords

    def __init__(self, config: Config, data_dir: Path):
        assert config.detection is not None
        self.options = config.detection
        super().__init__(config, CocoRecords(data_dir, config))

    @cached_property
    def labels(self) -> list[str]:
        """The category id of each class 1..K."""
        return [str(identity) for identity in self.records.info.category_ids]

    @cached_property
    def names(self) -> list[str]:
        return list(self.records.info.texts) or self.labels

    @cached_property
    def truth(self) -> GroundTruth:
        """What the validation records say, to score against."""
        info = self.records.info
        categories = dict(zip(info.category_ids, self.names, strict=True))
        return make_truth(self.records.eval_truth(), categories, str(self.records.directory))

    def make_model(self) -> SlimModule:
        return make_detector(self.config, len(self.labels))

    def model_info(self) -> dict[str, Any]:
        return detector_info(self.config, self.labels, self.names)

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return detector_start(source, info, weights, self.model_info())

    def train_loss(
        self, model: SlimModule, batch: DetectionBatch, seed: tf.Tensor, weights: Weights, **mode: Any
    ) -> tf.Tensor:
        """Focal and box loss over the number of matched anchors in the batch (arXiv 1708.02002, section 4.1)."""
        losses, matched = self.losses(self.forward(model, batch, weights, is_training=True, **mode), batch)
        return tf.reduce_sum(losses) / tf.maximum(1.0, tf.reduce_sum(matched))

    def sample_images(self, count: int) -> np.ndarray:
        """As `Task` has it, with the boxes that are matched, as the anchors were told them."""
        size = self.config.data.image_size
        batch = self._first_batch(count)
        drawn = []
        for image, classes, deltas in zip(batch.images, batch.class_targets, batch.box_targets, strict=True):
            boxes = tf.boolean_mask(geometry.decode(deltas, anchors_of(size).boxes), classes > 0) / size
            drawn.append(tf.image.draw_bounding_boxes(image[tf.newaxis], boxes[tf.newaxis], [[0.0, 255.0, 0.0]])[0])
        return np.clip(np.stack(drawn), 0, 255).astype(np.uint8)

    def eval_outputs(self, model: SlimModule, batch: DetectionBatch, weights: Weights) -> dict[str, tf.Tensor]:
        predictions = self.forward(model, batch, weights, is_training=False)
        found = find_boxes(predictions, int(batch.images.shape[1]), self.options)
        losses, matched = self.losses(predictions, batch)
        return {
            "positions": batch.positions,
            "image_ids": batch.image_ids,
            "scales": batch.scales,
            **found._asdict(),
            "losses": losses,
            "matched": matched,
        }

    def summarize(self, outputs: dict[str, np.ndarray]) -> Evaluation:
        outputs = self._only(outputs["positions"] >= 0, outputs)
        loss = None  # an exported net has none
        if "losses" in outputs:
            matched = outputs["matched"].sum(dtype=np.float64)
            loss = float(outputs["losses"].sum(dtype=np.float64) / max(1.0, matched))
        if loss is not None and not math.isfinite(loss):
            return Evaluation({"loss": loss}, outputs)  # a net that broke has no boxes to score
        shown = self.detections(detected_truth(self.truth, outputs, self.records.info.category_ids))
        coco_map.self_check(self.truth, shown)
        evaluation = coco_map.evaluate_detections(self.truth, self.detections(outputs))
        known = self.records.info.images_in_both_splits
        also = {"images_trained_on": known} if known else {}  # so that no one takes memory for skill
        return Evaluation({**evaluation.summary(), "loss": loss, **also}, outputs)

    def detections(self, outputs: Mapping[str, np.ndarray]) -> Detections:
        """The boxes of `eval_outputs` in px of the original images, with the data set's category ids."""
        return as_detections(outputs, self.records.info.category_ids, str(self.records.directory))

    def losses(self, predictions: Predictions, batch: DetectionBatch) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of each image [N], not yet divided by the number of its matched anchors [N] float32."""
        options = self.options
        matched = batch.class_targets > 0
        focal = anchor_focal_loss(
            predictions.class_logits, batch.class_targets, options.focal_alpha, options.focal_gamma
        )
        rows = tf.where(matched)  # [P, 2]: few of many
        deltas, targets = (tf.gather_nd(values, rows) for values in (predictions.box_deltas, batch.box_targets))
        if options.box_loss == "huber":
            box = huber_loss(deltas, targets, options.huber_threshold)
        else:
            anchors = tf.gather(anchors_of(int(batch.images.shape[1])).boxes, rows[:, 1])
            overlap = giou_loss if options.box_loss == "giou" else ciou_loss
            box = overlap(geometry.decode(deltas, anchors), geometry.decode(targets, anchors))
        boxes = tf.math.unsorted_segment_sum(box, rows[:, 0], tf.shape(matched)[0])
        total = tf.reduce_sum(focal, axis=1) + options.box_weight * boxes
        return total, tf.reduce_sum(tf.cast(matched, tf.float32), axis=1)


def find_boxes(predictions: Predictions, size: int, options: DetectionConfig) -> Found:
    """The boxes that a net's predictions for images of size × size px amount to, in px of those."""
    return detect(
        predictions.class_logits,
        predictions.box_deltas,
        anchors_of(size).boxes,
        level_counts=anchors_of(size).level_counts,
        image_size=(size, size),
        candidates=options.candidates,
        iou_threshold=options.nms_iou,
        score_threshold=options.score_threshold,
        max_detections=options.max_detections,
    )


def detector_info(config: Config, labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """What the checkpoints of a detector say of it; see `Task.model_info`."""
    assert config.detection is not None
    return {**model_info(config, labels, names, {}), "detection": config.detection.with_net().model_dump(mode="json")}


def make_detector(config: Config, num_classes: int) -> SlimModule:
    """The net of a configuration, called as `model(images, is_training=…)`, giving float32 `Predictions`."""
    options = config.detection
    assert options is not None
    spec = config.model.spec

    def net(
        images: tf.Tensor, is_training: bool, frozen_until: str | None = None, batch_norm_decay: Any = None
    ) -> Predictions:
        scope = mnasnet.training_scope(
            is_training=is_training,
            batch_norm_decay=config.model.batch_norm_decay if batch_norm_decay is None else batch_norm_decay,
            updates_collections=None,
        )
        with slim.arg_scope(scope):
            predictions, _ = retinanet(
                images,
                spec,
                options.spec,
                num_classes,
                is_training=is_training,
                zero_init_residual=config.model.zero_init_residual,
                frozen_until=config.finetune.norm_frozen_until(frozen_until, layer_names(spec)),
            )
        return Predictions(*(tf.cast(values, tf.float32) for values in predictions))

    model = SlimModule(net)
    size = config.data.image_size
    model.build(tf.TensorSpec([1, size, size, 3], tf.float32), is_training=False)
    return model
