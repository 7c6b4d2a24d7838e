"""The batch size that memory has room for (`training.batch_size: auto`).

The parent asks a child process, because memory that a step has used stays with its process. The child takes one
training step on few and one on more images, without compiling them, and returns the peaks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, list_checkpoints
from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import AUTO_BATCH_SIZE, Config
from mnasnet_cli.console import begin
from mnasnet_cli.errors import ConfigError, EnvironmentProblem, MnasnetError
from mnasnet_cli.runs.run_files import read_config
from mnasnet_cli.system.documents import Unreadable, parse_json
from mnasnet_cli.system.machine import available_memory
from mnasnet_cli.tasks.from_config import make_task
from mnasnet_cli.training.distillation.formats import FoundTeacher
from mnasnet_cli.training.distillation.teacher import describe_teacher

# The rest is for what the measurement lacks: the compiled step, the evaluation, and other programs.
SHARE_OF_MEMORY = 0.6
MIN_STEPS_PER_EPOCH = 20
# For one device. Larger batches than those that a net was published with need other learning rates.
MOST_IMAGES = {"classification": 256, "detection": 64}
_PIXELS = 128 * 1024  # of the images of the smaller step
_TIMEOUT = 600  # s


@dataclass(frozen=True)
class StepMemory:
    """The memory of training steps, in bytes: of each device if there are several."""

    fixed: float
    """What a step takes besides its images."""
    per_image: float
    available: float
    devices: int = 1

    @property
    def room(self) -> int:
        """Images of a step for which there is room on a device."""
        return max(0, int((SHARE_OF_MEMORY * self.available - self.fixed) / max(self.per_image, 1.0)))


def resolve_batch_size(
    config: Config, data_dir: Path, run_dir: Path | None, teacher: FoundTeacher | None = None, *, several: bool
) -> tuple[Config, str]:
    """Return the configuration with a number for `auto`, and a line that says where it comes from; "" without `auto`.

    Args:
      run_dir: a run that has a checkpoint there keeps its own number; None: it starts over.
      teacher: the model that the run learns from; it takes memory, too.
      several: whether several machines train together.

    Raises:
      ConfigError: several machines train together, or a TPU.
      DataError: there are no records, or they are damaged.
      EnvironmentProblem: there is no room for one image, or the measurement failed.
    """
    if config.training.batch_size != AUTO_BATCH_SIZE:
        return config, ""
    if several or os.environ.get("TPU_NAME"):
        place = "several machines" if several else "a TPU"
        raise ConfigError(f"--batch-size auto can't measure the memory of {place}; name a number")
    if run_dir is not None and list_checkpoints(run_dir / CHECKPOINT_FOLDER):
        size = validate(read_config(run_dir) or {}, str(run_dir)).training.batch_size
        return _with_batch_size(config, size), f"batch size {size}, as the run began"
    task = make_task(config, data_dir)
    describe_teacher(teacher, task)  # the child would refuse other classes as a failed measurement
    examples = task.train_examples
    begin("measuring the memory of a training step")
    size, reason = choose_batch_size(config, examples, measure_step(config, data_dir, teacher))
    return _with_batch_size(config, size), f"batch size {size}, {reason}"


def choose_batch_size(config: Config, examples: int, memory: StepMemory) -> tuple[int, str]:
    """Return the largest batch size that memory, the epoch and the task allow, and the reason in words.

    It is a power of two, or one and a half times that, of the images that the configuration takes at a time: so small
    differences of available memory give the same number.
    """
    training = config.training
    unit = memory.devices * training.accumulate_steps * training.batch_parts
    room = memory.room * memory.devices * training.accumulate_steps
    most = MOST_IMAGES[config.task] * memory.devices
    facts = f"{memory.per_image / 1e6:.0f} MB an image, {memory.available / 1e9:.1f} GB available"
    if room < unit:
        raise EnvironmentProblem(
            f"memory has no room for a training step of {unit // training.accumulate_steps} images at "
            f"{config.data.image_size} px: it takes {memory.fixed / 1e9:.1f} GB and {facts}; free memory, or lower "
            "--image-size"
        )
    of_epoch = examples // MIN_STEPS_PER_EPOCH
    sizes = [unit]
    while sizes[-1] <= min(room, most, of_epoch):
        doubled = unit * 2 ** (len(sizes) // 2 + 1)
        sizes.append(doubled if len(sizes) % 2 else doubled * 3 // 4)
    size = max([unit, *(number for number in sizes if number <= min(room, most, of_epoch))])
    if min(room, most, of_epoch) == room:
        return size, f"by memory: {facts}"
    limit = f"for {MIN_STEPS_PER_EPOCH} steps an epoch" if of_epoch < most else "the largest of auto"
    return size, f"{limit}; memory has room for {room:,} ({facts})"


def measure_step(config: Config, data_dir: Path, teacher: FoundTeacher | None = None) -> StepMemory:
    """Measure training steps in a child process; it takes some ten seconds.

    Raises:
      EnvironmentProblem: the child failed, or the available memory is unknown.
    """
    available = available_memory()
    path = teacher.path if teacher else None
    asked = json.dumps({"config": config.model_dump(mode="json"), "data": str(data_dir.absolute()), "teacher": path})
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "mnasnet_cli.training.batch_size"],
            input=asked,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            env={**os.environ, "TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        )
        found = parse_json(child.stdout.splitlines()[-1], "what the child printed")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failure(type(error).__name__) from error
    except (IndexError, Unreadable):
        last = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise _failure(last if child.returncode > 0 else f"signal {-child.returncode}: out of memory?") from None
    if "error" in found:
        raise _failure(found["error"])
    (few, low), (many, high) = found["peaks"]
    per_image = max(0.0, high - low) / (many - few)
    limit = found["limit"] if found["gpus"] else available
    if limit is None:
        raise _failure("this system does not tell how much memory is available")
    # A CPU step shares the memory with the records that are mixed, most of which are read only later.
    buffered = 0 if found["gpus"] else _mixed_records(config, data_dir)
    return StepMemory(max(0.0, low - few * per_image) + buffered, per_image, limit, max(1, found["gpus"]))


def _failure(reason: str) -> EnvironmentProblem:
    return EnvironmentProblem(f"measuring the memory of a step failed ({reason}); name a number with --batch-size N")


def _mixed_records(config: Config, data_dir: Path) -> float:
    """Return the bytes of the encoded records that shuffling keeps in memory."""
    from mnasnet_cli.data.epoch_order import MOST_KEPT
    from mnasnet_cli.records.dataset_info import load_dataset_info
    from mnasnet_cli.records.shards import find_shards

    examples = load_dataset_info(data_dir, config.dataset).splits["train"].examples
    size = sum(path.stat().st_size for path in find_shards(data_dir, "train"))
    kept = config.data.shuffle_buffer * (MOST_KEPT if config.data.order == "blocks" else 1.0)
    return size * min(1.0, kept / max(1, examples))


def _with_batch_size(config: Config, size: int) -> Config:
    training = config.training.model_copy(update={"batch_size": size})
    return config.model_copy(update={"training": training})


def _measure_here(asked: Mapping[str, Any]) -> dict[str, Any]:
    """In the child: take a step on few and on more images, and return [[images, peak bytes], …] and the GPUs."""
    import tensorflow as tf

    from mnasnet_cli.data.pipeline import Share
    from mnasnet_cli.training.distillation.formats import find_model
    from mnasnet_cli.training.distillation.teacher import learn_from
    from mnasnet_cli.training.finetuning import FinetunePlan
    from mnasnet_cli.training.optimization import ema
    from mnasnet_cli.training.optimization.optimizers import Optimizer
    from mnasnet_cli.training.steps import TrainSteps

    tf.config.run_functions_eagerly(True)  # compiling would take longer than both steps
    config = validate(asked["config"], "the configuration")
    training = config.training.model_copy(update={"batch_size": 1, "accumulate_steps": 1})
    data = config.data.model_copy(update={"shuffle_buffer": 1})
    config = config.model_copy(update={"training": training, "data": data})
    task = make_task(config, Path(asked["data"]))
    if asked["teacher"]:
        learn_from(find_model(asked["teacher"], training.teacher_input, data.image_size), task)
    model = task.make_model()
    plan = FinetunePlan(config, model.trainable, 1)
    optimizer = Optimizer(config.optimizer, model.trainable, model.regularized, plan)
    average = ema.MovingAverage(model.weights) if training.ema_decay else None
    steps = TrainSteps(task, model, optimizer, average, plan)
    size, gpus = config.data.image_size, tf.config.list_physical_devices("GPU")
    few = training.batch_parts * max(1, _PIXELS // (size * size * training.batch_parts))
    peaks = []
    for images in (few, 4 * few):
        batches = task.train_batches(0, size, 0, Share(images)) if images <= task.train_examples else None
        if batches is None:
            batches = (
                task.train_batches(0, size, 0, Share(training.batch_parts)).unbatch().repeat().padded_batch(images)
            )
        zero = tf.constant([0.0])
        frozen = plan.frozen_until(training.epochs - 1)
        steps(iter(batches.repeat()), tf.constant(0, tf.int64), zero, zero, tf.zeros([3]), frozen)
        peaks.append([images, tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else _peak()])
    return {"peaks": peaks, "gpus": len(gpus), "limit": _gpu_memory() if gpus else 0}


def _gpu_memory() -> int:
    """Return the bytes that TensorFlow may use on the smallest GPU."""
    from tensorflow.python.client import device_lib  # the limit has no public name

    return min(device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU")


def _peak() -> int:
    """Return the most bytes that this process has held in memory so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Answer the parent: read its question on standard input, and write one line of JSON on standard output."""
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    try:
        found = _measure_here(parse_json(sys.stdin.read(), "the configuration"))
    except MnasnetError as error:
        found = {"error": str(error)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
