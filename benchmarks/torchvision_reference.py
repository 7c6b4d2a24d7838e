"""Train torchvision's `mnasnet1_0` from scratch on an ImageNet-style folder, as a reference for accuracy and time.

    python benchmarks/torchvision_reference.py --recipe adamw DATA     # DATA/train/<class>/*, DATA/val/<class>/*

Needs torch and torchvision, not this toolkit. Both recipes use RandomResizedCrop 0.35-1 to 128 px, a random flip, batch
size 64, one warm-up epoch followed by a cosine schedule to zero, label smoothing 0.1, batch norm momentum 0.1, and
channels-last. Validation uses the central 128 px of an image resized to 144 px. The output is one line per epoch, then
a JSON object.

Every image is decoded once and kept as uint8 (1.4 GB for Imagenette at 224 px). The training process crops and resizes
these images, which takes less than 5 % of a step. A DataLoader worker would take a whole core from the net.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import import_torch

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
IMAGE_ENDINGS = {".jpeg", ".jpg", ".png"}
BATCH_NORM_MOMENTUM = 0.1  # torchvision's default 0.0003 needs far more steps than a small set has
RESIZE_PER_CROP = 144 / 128  # validation: resize the short side to 144, crop 128


@dataclass(frozen=True)
class Recipe:
    """Optimizer settings of a reference run; the learning rate is the peak for batches of 64."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    zero_init_residual: bool  # initialize the last batch norm of each residual block with zero


RECIPES = {
    "sgd": Recipe("sgd", 0.1, 4e-5, zero_init_residual=False),
    "adamw": Recipe("adamw", 4e-3, 0.05, zero_init_residual=True),
}


@dataclass(frozen=True)
class Split:
    """Decoded images, each uint8 [3, H, W] in channels-last memory, and their labels, int64 [N]."""

    images: list[Any]
    labels: Any


def load_split(folder: Path, classes: list[str], short_side: int | None = None) -> Split:
    """Decode all images in folder/<class>/; resize the short side to `short_side` px if given."""
    torch, numpy, pillow, functional = import_torch("torch", "numpy", "PIL.Image", "torchvision.transforms.functional")
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in IMAGE_ENDINGS):
            image = pillow.open(path).convert("RGB")
            if short_side is not None:
                image = functional.resize(image, short_side)
            images.append(torch.from_numpy(numpy.array(image)).permute(2, 0, 1))
            labels.append(label)
    if not images:
        raise SystemExit(f"{folder} holds no images; expected {folder}/<class>/*.JPEG")
    return Split(images, torch.tensor(labels))


def make_net(num_classes: int, recipe: Recipe) -> Any:
    """Build torchvision's mnasnet1_0 with random weights, channels-last, for a recipe."""
    torch, models = import_torch("torch", "torchvision.models")
    net = models.mnasnet1_0(weights=None, num_classes=num_classes)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
        if recipe.zero_init_residual and getattr(module, "apply_residual", False):
            torch.nn.init.zeros_(module.layers[-1].weight)
    return net.to(memory_format=torch.channels_last)


def make_optimizer(net: Any, recipe: Recipe) -> Any:
    """Return the optimizer of a recipe for all parameters."""
    (torch,) = import_torch("torch")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(), recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(
        net.parameters(), recipe.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )


def learning_rate_factor(step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the factor in [0, 1]: linear warm-up in the first epoch, then a half cosine to zero at the last step."""
    if step < steps_per_epoch:
        return (step + 1) / steps_per_epoch
    done = (step - steps_per_epoch) / max(1, steps_per_epoch * (epochs - 1))
    return 0.5 * (1 + math.cos(math.pi * done))


def augmented_batch(images: list[Any], size: int) -> Any:
    """Return float32 [N, 3, size, size]: RandomResizedCrop (area 0.35-1), random flip, normalized, channels-last."""
    torch, transforms, functional = import_torch(
        "torch", "torchvision.transforms", "torchvision.transforms.v2.functional"
    )
    crops = []
    for image in images:
        top, left, height, width = transforms.RandomResizedCrop.get_params(image, (0.35, 1.0), (3 / 4, 4 / 3))
        crop = functional.resized_crop(image, top, left, height, width, [size, size], antialias=True)
        crops.append(functional.horizontal_flip(crop) if torch.rand(()) < 0.5 else crop)
    return normalized(torch.stack(crops))


def normalized(batch: Any) -> Any:
    """Convert uint8 [N, 3, H, W] to float32, normalized with ImageNet's mean and deviation, channels-last."""
    torch, functional = import_torch("torch", "torchvision.transforms.v2.functional")
    batch = batch.contiguous(memory_format=torch.channels_last)
    return functional.normalize(batch.float().div_(255), MEAN, STD)


def train_epoch(net: Any, optimizer: Any, schedule: Any, data: Split, size: int, batch_size: int) -> float:
    """Train one epoch in random order without the last partial batch; return the mean loss."""
    (torch,) = import_torch("torch")
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    order = torch.randperm(len(data.images))
    losses = []
    net.train()
    for start in range(0, len(order) - batch_size + 1, batch_size):
        picked = order[start : start + batch_size]
        batch = augmented_batch([data.images[i] for i in picked], size)
        loss = loss_of(net(batch), data.labels[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def top1(net: Any, data: Split, size: int, batch_size: int) -> float:
    """Return the top-1 accuracy on center crops of `size` px."""
    torch, functional = import_torch("torch", "torchvision.transforms.v2.functional")
    net.eval()
    correct = 0
    with torch.inference_mode():
        for start in range(0, len(data.images), batch_size):
            images = data.images[start : start + batch_size]
            batch = torch.stack([functional.center_crop(image, [size, size]) for image in images])
            predicted = net(normalized(batch)).argmax(1)
            correct += int((predicted == data.labels[start : start + batch_size]).sum())
    return correct / len(data.images)


def cpu_seconds() -> float:
    """Return user and system seconds of this process and its finished children."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train with a recipe, print a line per epoch, and return the result for JSON."""
    torch, torchvision = import_torch("torch", "torchvision")
    start = time.perf_counter()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    size, batch_size, epochs = arguments.image_size, arguments.batch_size, arguments.epochs
    train_folder = arguments.data / "train"
    if not train_folder.is_dir():
        raise SystemExit(f"{train_folder} is not a folder; expected DATA/train/<class>/* and DATA/val/<class>/*")
    classes = sorted(p.name for p in train_folder.iterdir() if p.is_dir())
    train = load_split(train_folder, classes)
    val = load_split(arguments.data / "val", classes, short_side=round(size * RESIZE_PER_CROP))
    print(f"decoded {len(train.images)} + {len(val.images)} images in {time.perf_counter() - start:.1f} s", flush=True)

    net = make_net(len(classes), RECIPES[arguments.recipe])
    optimizer = make_optimizer(net, RECIPES[arguments.recipe])
    steps = len(train.images) // batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate_factor(s, steps, epochs))
    history, training_seconds = [], 0.0
    for epoch in range(1, epochs + 1):
        epoch_start = time.perf_counter()
        loss = train_epoch(net, optimizer, schedule, train, size, batch_size)
        seconds = time.perf_counter() - epoch_start
        training_seconds += seconds
        history.append(top1(net, val, size, batch_size))
        rate = steps * batch_size / seconds
        print(f"epoch {epoch:2d}  loss {loss:.4f}  top-1 {history[-1]:.4f}  {rate:.1f} images/s", flush=True)
    return {
        "net": "torchvision mnasnet1_0",
        "recipe": arguments.recipe,
        "data": arguments.data.name,
        "images": {"train": len(train.images), "val": len(val.images)},
        "image_size": size,
        "batch_size": batch_size,
        "epochs": epochs,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "top1": history[-1],
        "top1_by_epoch": history,
        "wall_seconds": round(time.perf_counter() - start, 1),
        "training_seconds": round(training_seconds, 1),
        "cpu_seconds": round(cpu_seconds(), 1),
        "images_per_second": round(epochs * steps * batch_size / training_seconds, 2),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def main() -> None:
    """Parse the command line, train, print the result as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder with train/<class>/* and val/<class>/*")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="adamw")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(parser.parse_args())), flush=True)


if __name__ == "__main__":
    main()
