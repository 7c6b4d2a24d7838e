"""Time our lite detector's training step beside torchvision's RetinaNet on `mnasnet1_0` with heads as cheap as ours.

    python benchmarks/detector_step.py [--image-size 320] [--batch-size 16] [--classes 80] [--variant b1]
                                       [--peer-channels 24] [--rounds 5] [--compile] [--peer-python PYTHON]
                                       [--json FILE]

Both sides get the same images and boxes, assign the boxes to anchors in every step, and do forward, backward and update
(SGD, momentum 0.9) in float32 on every core, with all layers trained, in processes of their own that take turns. Ours
is the toolkit's compiled step as `mnasnet train-coco` runs it. torchvision runs channels-last; `--peer-channels`
narrows its pyramid and heads, and the script counts the multiply-adds of both and stops where they are more than 20 %
apart. With `--compile` its net also goes through `torch.compile`; the faster one counts.
"""

from __future__ import annotations

import argparse
from typing import Any

import detector_peer as peer
from common import core_count, images_per_second, import_torch, use_toolkit
from our_step import MOMENTUM, WARM_UP_CALLS, settings_of, time_step

LEARNING_RATE = 1e-4  # small: the images are noise, and a loss that isn't finite would end our step
WEIGHT_DECAY = 4e-5
STEPS_PER_CALL = 2  # the training loop asks for calls of about two seconds


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the toolkit's training step, the assignment of boxes included."""
    use_toolkit()
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.models.detector import make_detector
    from mnasnet_cli.tasks.detection import DetectionTask

    config = load_config("lite", task="detection", flags=settings_of(arguments, WEIGHT_DECAY))
    model = make_detector(config, arguments.classes)
    return time_step(
        DetectionTask, model, config, batches_of(config, arguments),
        calls_of=STEPS_PER_CALL, rate=LEARNING_RATE, seconds=arguments.seconds,
    )  # fmt: skip


def batches_of(config: Any, arguments: argparse.Namespace) -> Any:
    """Return a tf.data.Dataset of batches of noise whose boxes are assigned anew each time, as for new images."""
    import tensorflow as tf

    from mnasnet_cli.data.coco import DetectionBatch, assign_targets
    from mnasnet_cli.data.pipeline import PARALLEL_CALLS, plain

    size, batch_size = arguments.image_size, arguments.batch_size
    images = tf.random.uniform([batch_size, size, size, 3], maxval=255.0)
    boxes, classes = peer.boxes_and_classes(batch_size, size, arguments.classes)

    def assigned(boxes: tf.Tensor, classes: tf.Tensor) -> Any:
        return assign_targets(boxes, classes, tf.zeros(tf.shape(classes), tf.bool), size, config.detection)

    def complete(class_targets: tf.Tensor, box_targets: tf.Tensor) -> DetectionBatch:
        none = tf.zeros([batch_size], tf.int64)
        return DetectionBatch(images, class_targets, box_targets, none, none, tf.ones([batch_size, 2]))

    examples = tf.data.Dataset.from_tensor_slices((boxes, classes)).repeat()
    targets = examples.map(plain(assigned), num_parallel_calls=PARALLEL_CALLS)
    return targets.batch(batch_size, drop_remainder=True).map(plain(complete)).prefetch(2)


def torchvision_step(arguments: argparse.Namespace, *, compiled: bool) -> dict[str, Any]:
    """Measure torchvision's net: channels-last, every core, SGD's fused update."""
    torch, torchvision = import_torch("torch", "torchvision")
    torch.set_num_threads(core_count())
    size, batch_size = arguments.image_size, arguments.batch_size
    net = peer.torchvision_detector(arguments).train()
    if compiled:
        net.backbone, net.head = torch.compile(net.backbone), _compiled_head(torch, net.head)
    optimizer = torch.optim.SGD(
        net.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
    )
    images = list(torch.rand(batch_size, 3, size, size))
    boxes, classes = peer.boxes_and_classes(batch_size, size, arguments.classes)
    truth = [
        {"boxes": torch.from_numpy(corners[:, [1, 0, 3, 2]]), "labels": torch.from_numpy(labels)}
        for corners, labels in zip(boxes, classes, strict=True)
    ]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = sum(net(images, truth).values())
        loss.backward()
        optimizer.step()
        loss.item()

    rate = images_per_second(step, batch_size, WARM_UP_CALLS * STEPS_PER_CALL, arguments.seconds)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return {"images_per_second": rate, "versions": versions}


def _compiled_head(torch: Any, head: Any) -> Any:
    """Compile the forward pass of both subnets; the losses stay Python, as they loop over images."""
    head.classification_head.forward = torch.compile(head.classification_head.forward)
    head.regression_head.forward = torch.compile(head.regression_head.forward)
    return head


WORKERS = {
    "ours": ours,
    "eager": lambda arguments: torchvision_step(arguments, compiled=False),
    "compiled": lambda arguments: torchvision_step(arguments, compiled=True),
}

if __name__ == "__main__":
    peer.compare("Training step of a detector", __doc__ or "", 16, WORKERS)
