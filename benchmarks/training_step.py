"""Compare our training step with torchvision's `mnasnet1_0`: forward, backward and update on one fixed batch.

    python benchmarks/training_step.py [--image-size 224] [--batch-size 32] [--variant b1] [--rounds 5]
                                       [--compile] [--peer-python PYTHON] [--json FILE]

Both use SGD with momentum 0.9, weight decay and label smoothing 0.1, in float32 on all cores. The processes alternate.
Ours is the compiled step of `mnasnet train-imagenet`, with the normalization of the images and without EMA. torchvision
runs channels-last. `--compile` measures `torch.compile`, too; the faster one counts. `--peer-python` is an interpreter
with torch, for example of another virtual environment.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import (
    Program,
    core_count,
    images_per_second,
    import_torch,
    machine,
    measure_in_rounds,
    parser_with_rounds,
    report,
    run_worker,
    use_toolkit,
)
from toolkit_step import MOMENTUM, WARM_UP_CALLS, peer_settings, time_step

CLASSES = 1000
TARGET = 1.4
LEARNING_RATE = 1e-3  # small, because the labels are random and our step stops if the loss is not finite
WEIGHT_DECAY = 1e-5
STEPS_PER_CALL = 4  # as in the training loop, whose calls take about two seconds


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the toolkit's training step."""
    use_toolkit()
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.modules.classifier import make_classifier
    from mnasnet_cli.tasks.classification import ClassificationTask

    config = load_config("paper", flags=peer_settings(arguments, WEIGHT_DECAY))
    model = make_classifier(config, CLASSES)
    return time_step(
        ClassificationTask, model, config, fixed_batch(arguments.image_size, arguments.batch_size),
        steps_per_call=STEPS_PER_CALL, learning_rate=LEARNING_RATE, seconds=arguments.seconds,
    )  # fmt: skip


def fixed_batch(size: int, batch_size: int) -> Any:
    """Return an endless tf.data.Dataset of one batch of noise."""
    import tensorflow as tf

    from mnasnet_cli.data.imagenet import ClassificationBatch

    labels = tf.random.uniform([batch_size], maxval=CLASSES, dtype=tf.int32)
    batch = ClassificationBatch(
        images=tf.random.uniform([batch_size, size, size, 3], maxval=255.0),
        labels=labels,
        positions=tf.range(batch_size, dtype=tf.int64),
        mixed_labels=labels,
        mixed_weights=tf.zeros([batch_size]),
    )
    return tf.data.Dataset.from_tensors(batch).repeat()


def torchvision_step(arguments: argparse.Namespace, *, compiled: bool) -> dict[str, Any]:
    """Measure torchvision's net: channels-last, all cores, fused SGD."""
    torch, models, torchvision = import_torch("torch", "torchvision.models", "torchvision")
    torch.set_num_threads(core_count())
    size, batch_size = arguments.image_size, arguments.batch_size
    net = models.mnasnet1_0(weights=None, num_classes=CLASSES).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        net.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    forward = torch.compile(net) if compiled else net
    images = torch.randn(batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch_size,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(forward(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    rate = images_per_second(step, batch_size, WARM_UP_CALLS * STEPS_PER_CALL, arguments.seconds)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return {"images_per_second": rate, "versions": versions}


WORKERS = {
    "ours": ours,
    "eager": lambda arguments: torchvision_step(arguments, compiled=False),
    "compiled": lambda arguments: torchvision_step(arguments, compiled=True),
}


def main() -> None:
    """Measure, print the table, write JSON."""
    parser = parser_with_rounds(__doc__ or "", rounds=5)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--variant", default="b1")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, too; it takes minutes per round")
    arguments = parser.parse_args()
    if arguments.worker:
        return run_worker(WORKERS, arguments)
    use_toolkit()
    before, peer = machine(), arguments.peer_python
    programs = [
        Program(f"mnasnet {arguments.variant}", "ours"),
        Program("torchvision mnasnet1_0, channels-last", "eager", peer),
    ]
    if arguments.compile:
        programs.append(Program("torchvision mnasnet1_0, channels-last, compiled", "compiled", peer, optional=True))
    conditions = {key: getattr(arguments, key) for key in ("image_size", "batch_size", "variant", "seconds", "rounds")}
    flags = [
        f"--{key.replace('_', '-')}={conditions[key]}" for key in ("image_size", "batch_size", "variant", "seconds")
    ]
    measure_in_rounds(programs, arguments.rounds, flags)
    title = f"Training step, {arguments.image_size} px, batch {arguments.batch_size}, float32"
    return report(title, programs, target=TARGET, before=before, conditions=conditions, path=arguments.json)


if __name__ == "__main__":
    main()
