"""Compare the training step of our lite detector with torchvision's RetinaNet on `mnasnet1_0` at the same cost.

    python benchmarks/detector_step.py [--image-size 320] [--batch-size 16] [--classes 80] [--variant b1]
                                       [--peer-channels 24] [--rounds 5] [--compile] [--peer-python PYTHON]
                                       [--json FILE]

Both get the same images and boxes. Each step assigns the boxes to anchors, then runs forward, backward and update (SGD,
momentum 0.9) in float32 on all cores, and trains all layers. The processes alternate. Ours is the compiled step of
`mnasnet train-coco`. torchvision runs channels-last; `--peer-channels` sets the channels of its pyramid and heads. The
script counts the multiply-adds of both, and stops if they differ by more than 20 %. `--compile` measures
`torch.compile`, too; the faster one counts.
"""

from __future__ import annotations

import argparse
from typing import Any

import torchvision_detector as peer
from common import core_count, images_per_second, import_torch, use_toolkit
from toolkit_step import MOMENTUM, WARM_UP_CALLS, peer_settings, time_step

LEARNING_RATE = 1e-4  # small, because the images are noise and our step stops if the loss is not finite
WEIGHT_DECAY = 4e-5
STEPS_PER_CALL = 2  # as in the training loop, whose calls take about two seconds


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the toolkit's training step, including the assignment of boxes."""
    use_toolkit()
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.modules.detector import make_detector
    from mnasnet_cli.tasks.detection import DetectionTask

    config = load_config("lite", task="detection", flags=peer_settings(arguments, WEIGHT_DECAY))
    model = make_detector(config, arguments.classes)
    return time_step(
        DetectionTask, model, config, batches_of(config, arguments),
        steps_per_call=STEPS_PER_CALL, learning_rate=LEARNING_RATE, seconds=arguments.seconds,
    )  # fmt: skip


def batches_of(config: Any, arguments: argparse.Namespace) -> Any:
    """Return a tf.data.Dataset of batches of noise that assigns the boxes in every batch, as for new images."""
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
    """Measure torchvision's net: channels-last, all cores, fused SGD."""
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
    """Compile the forward pass of both subnets. The losses stay in Python, because they loop over images."""
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
