"""What ``check_object_detection.py`` runs after ``object_detection_probe.py``: the API's training and evaluation.

Fails with an AssertionError; prints a line for each thing that held. Usage: FOLDER CHECKPOINT SIZE BATCH, where FOLDER
holds ``records/`` and ``label_map.pbtxt``; writes ``detections.json`` and ``scores.json`` there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection import inputs, model_hparams, model_lib
from object_detection.builders import model_builder
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from object_detection.metrics import coco_evaluation, coco_tools
from object_detection.utils import label_map_util
from object_detection_probe import pipeline, shrink

from mnasnet_cli.integrations import object_detection

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
STEPS = 20


class Watch(tf1.train.SessionRunHook):
    """Reads the backbone when training starts and the loss of every step."""

    def __init__(self) -> None:
        self.start: dict[str, np.ndarray] = {}
        self.losses: list[float] = []

    def after_create_session(self, session: Any, coord: Any) -> None:
        backbone = [v for v in tf1.global_variables() if v.op.name.startswith("FeatureExtractor/Mnasnet/")]
        backbone = [v for v in backbone if "/fpn/" not in v.op.name and not v.op.name.endswith("Momentum")]
        self.start = dict(zip((v.op.name for v in backbone), session.run(backbone)))

    def before_run(self, context: Any) -> Any:
        return tf1.train.SessionRunArgs(tf1.get_default_graph().get_tensor_by_name("total_loss:0"))

    def after_run(self, context: Any, values: Any) -> None:
        self.losses.append(float(values.results))


def trains(folder: Path, checkpoint: str, size: int, batch: int) -> dict[str, Any]:
    """The API's own training function starts from our checkpoint, and lowers the loss on one batch of our records."""
    configs = pipeline("b1")
    shrink(configs, size)
    config = configs["train_config"]
    config.fine_tune_checkpoint = checkpoint
    config.batch_size = batch
    schedule = config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    schedule.warmup_steps, schedule.learning_rate_base = 0, 0.01
    for reader, split in ((configs["train_input_config"], "train"), (configs["eval_input_config"], "validation")):
        reader.label_map_path = str(folder / "label_map.pbtxt")
        reader.tf_record_input_reader.input_path[:] = [str(folder / f"records/{split}-?????-of-?????")]

    def one_batch() -> Any:
        data = inputs.train_input(config, configs["train_input_config"], configs["model"])
        return data.take(1).cache().repeat()

    model_fn = model_lib.create_model_fn(
        lambda is_training, add_summaries=True: model_builder.build(configs["model"], is_training, add_summaries),
        configs,
        model_hparams.create_hparams(),
    )
    shutil.rmtree(str(folder / "run"), ignore_errors=True)
    run = tf1.estimator.RunConfig(model_dir=str(folder / "run"), tf_random_seed=1, save_summary_steps=1000)
    watch = Watch()
    tf1.estimator.Estimator(model_fn, config=run).train(one_batch, hooks=[watch], steps=STEPS)

    stored = tf.train.load_checkpoint(config.fine_tune_checkpoint)
    assert watch.start, "no variables of the backbone"
    for name, value in watch.start.items():
        np.testing.assert_array_equal(value, stored.get_tensor(name.replace("FeatureExtractor/", "", 1)), name)
    print(f"training started from our slim-checkpoint: all {len(watch.start)} variables of the backbone")
    losses = watch.losses
    assert len(losses) == STEPS
    assert np.isfinite(losses).all(), losses
    assert losses[-1] < 0.9 * losses[0], losses
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {STEPS} steps on {batch} images at {size} px")
    return configs


def detects(folder: Path, configs: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Returns (ground truth, detections) for each validation image, as the API's decoder and detector give them."""
    reader = configs["eval_input_config"]
    paths = tf1.gfile.Glob(reader.tf_record_input_reader.input_path[0])
    decoder = TfExampleDecoder(label_map_proto_file=reader.label_map_path)
    iterator = tf1.data.make_initializable_iterator(tf.data.TFRecordDataset(paths).map(decoder.decode))
    following = iterator.get_next()
    model = model_builder.build(configs["model"], is_training=False)
    images, shapes = model.preprocess(tf.cast(following[InputDataFields.image], tf.float32)[None])
    found = model.postprocess(model.predict(images, shapes), shapes)
    pairs = []
    with tf1.Session() as session:
        session.run([iterator.initializer, tf1.tables_initializer()])
        tf1.train.Saver().restore(session, tf.train.latest_checkpoint(str(folder / "run")))
        while True:
            try:
                pairs.append(session.run([following, found]))
            except tf.errors.OutOfRangeError:
                return pairs


def evaluates(folder: Path, configs: dict[str, Any]) -> None:
    """The API's evaluator scores what the detector found, with perturbed true boxes added, so that there is a score."""
    random = np.random.RandomState(0)
    label_map = label_map_util.load_labelmap(configs["eval_input_config"].label_map_path)
    categories = label_map_util.convert_label_map_to_categories(label_map, max_num_classes=90)
    evaluator = coco_evaluation.CocoDetectionEvaluator(categories)
    rows = []
    for truth, found in detects(folder, configs):
        image, height, width = int(truth[InputDataFields.source_id]), *truth[InputDataFields.image].shape[:2]
        scale = np.array([height, width, height, width], np.float32)
        true_boxes, classes = (
            truth[InputDataFields.groundtruth_boxes] * scale,
            truth[InputDataFields.groundtruth_classes],
        )
        evaluator.add_single_ground_truth_image_info(
            image,
            {
                InputDataFields.groundtruth_boxes: true_boxes,
                InputDataFields.groundtruth_classes: classes,
                InputDataFields.groundtruth_is_crowd: truth[InputDataFields.groundtruth_is_crowd].astype(np.int64),
                InputDataFields.groundtruth_area: truth[InputDataFields.groundtruth_area],
            },
        )
        sides = np.tile(true_boxes[:, 2:] - true_boxes[:, :2], 2)
        near = true_boxes + random.normal(0, 0.08, true_boxes.shape) * sides
        boxes = np.concatenate([found["detection_boxes"][0] * scale, near]).astype(np.float32)
        scores = np.concatenate([found["detection_scores"][0], random.uniform(size=len(near))]).astype(np.float32)
        numbers = np.concatenate([found["detection_classes"][0] + 1, classes]).astype(np.int64)  # + 1: no background
        evaluator.add_single_detected_image_info(
            image,
            {
                DetectionResultFields.detection_boxes: boxes,
                DetectionResultFields.detection_scores: scores,
                DetectionResultFields.detection_classes: numbers,
            },
        )
        known = {category["id"] for category in categories}
        rows += coco_tools.ExportSingleImageDetectionBoxesToCoco(image, known, boxes, scores, numbers)
    scores = evaluator.evaluate()
    (folder / "scores.json").write_text(json.dumps({name: float(value) for name, value in scores.items()}))
    (folder / "detections.json").write_text(json.dumps(rows, default=float))


def main(folder: Path, checkpoint: str, size: int, batch: int) -> None:
    object_detection.register()
    configs = trains(folder, checkpoint, size, batch)
    evaluates(folder, configs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
