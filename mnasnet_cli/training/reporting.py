"""What a training says about itself: what runs before the first step, and a line for each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.config.nearest_recipe import nearest_recipe
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import percent, plural, short_duration
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.system.machine import core_count
from mnasnet_cli.tasks.base import Task

MAX_CHANGES = 3  # more changed settings of a recipe are counted, not named


def describe_training(task: Task, model: SlimModule) -> list[str]:
    """Return the lines that say what runs: net, recipe, records and devices."""
    config, training = task.config, task.config.training
    parameters = sum(int(weight.shape.num_elements()) for weight in model.trainable.values())
    classes = len(task.model_info()["labels"])
    sizes = sorted({config.image_size_at(epoch) for epoch in range(training.epochs)} | {config.eval_size})
    image_size = f"{sizes[0]} px" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} px"
    validation = f", {task.eval_examples:,} validation images" if task.has_eval_examples else ""
    steps = task.steps_per_epoch * training.epochs
    return [
        f"net: {config.model.label}, width {config.model.width:g}, {parameters:,} parameters, {classes:,} classes",
        f"recipe: {describe_recipe(config)}",
        f"images: {task.train_examples:,} for training{validation}; {image_size}",
        f"steps: {plural(training.epochs, 'epoch')} of {plural(task.steps_per_epoch, 'step')} = {steps:,}, "
        f"batch {training.batch_size:,}",
        f"device: {describe_devices(tf.distribute.get_strategy())}",
    ]


def describe_recipe(config: Config) -> str:
    """Return the shipped recipe that a configuration comes closest to, and what it changes."""
    name, changed = nearest_recipe(config)
    if not changed:
        return name
    if len(changed) > MAX_CHANGES:
        return f"{name} with {len(changed)} other settings"
    return f"{name} with " + ", ".join(f"{key}={value}" for key, value in changed.items())


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Return the devices of a strategy in words, such as "2 GPUs (NVIDIA H200)" or "CPU, 8 cores"."""
    if tf.config.list_logical_devices("TPU"):
        return f"TPU, {plural(strategy.num_replicas_in_sync, 'core')}"
    several = f", {plural(strategy.num_replicas_in_sync, 'replica')} in all"
    processes = several if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else ""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {plural(core_count(), 'core')}{processes}"
    names = {str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")) for gpu in gpus}
    return f"{plural(len(gpus), 'GPU')} ({', '.join(sorted(names))}){processes}"


def epoch_line(epoch: int, epochs: int, numbers: Mapping[str, Any], seconds: float) -> str:
    """Return the line of an epoch. It fits 80 columns; accuracies and APs are percentages.

    Args:
      numbers: of an evaluation, or {"training loss": …} if there are no validation images.
    """
    if "AP" in numbers:
        sizes = "/".join(_short_percent(numbers.get(f"AP_{size}")) for size in ("small", "medium", "large"))
        shown = [f"{key} {_short_percent(numbers.get(key))}" for key in ("AP", "AP50", "AP75")] + [f"S/M/L {sizes}"]
    else:
        shown = [f"{key} {percent(numbers[key])}" for key in ("top1", "top5") if key in numbers]
    losses = [f"{key} {value:.3g}" for key, value in numbers.items() if "loss" in key]
    return " ".join([f"epoch {epoch}/{epochs}", *shown, *losses, short_duration(seconds)])


def _short_percent(fraction: float | None) -> str:
    return percent(fraction).removesuffix(" %")
