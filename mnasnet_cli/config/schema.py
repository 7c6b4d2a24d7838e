"""The sections of a configuration, with defaults and units, and the values that are derived from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from mnasnet_cli.config.detection import DetectionConfig, check_for_detection
from mnasnet_cli.config.fields import Fraction, Pair, Rate, Section, Share, Triple
from mnasnet_cli.config.finetune import FinetuneConfig
from mnasnet_cli.config.net import NetConfig
from mnasnet_cli.errors import nearest
from mnasnet_cli.nets.spec import NETS, NetSpec, get_spec, layer_names

Interpolation = Literal["bilinear", "bicubic", "tf1-bilinear"]


class ModelConfig(Section):
    """The net."""

    variant: str = "b1"
    """One of the nets that `mnasnet models` lists."""
    width: Annotated[float, Field(gt=0.0)] = 1.0
    """Width multiplier of every layer."""
    dropout: Share | None = None
    """Share of the features that is dropped before the classifier; the net's own (0.2, none for small) where null."""
    batch_norm_decay: Fraction | None = None
    """Decay of the moving mean and variance, per step; the net's own (0.99) where null."""
    zero_init_residual: bool = False
    """Start each residual block as the identity: the scale of its last batch norm is 0."""

    net: NetConfig = NetConfig()

    @field_validator("variant")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NETS:
            raise ValueError(f"unknown variant {name!r} (known: {', '.join(NETS)}){nearest(name, NETS)}")
        return name

    @property
    def spec(self) -> NetSpec:
        """The table of the net, at its width."""
        return get_spec(self.variant, self.width, self.net.changes)


class AugmentConfig(Section):
    """How training images are varied."""

    crop_area: Pair = (0.08, 1.0)
    """RandomResizedCrop: the crop's share of the image's area, least and most."""
    crop_ratio: Pair = (3 / 4, 4 / 3)
    """RandomResizedCrop: width over height, least and most."""
    flip: bool = True
    """Mirror half of the images."""
    color_jitter: Rate = 0.0
    """Brightness, contrast and saturation change by a factor of at most 1 ± this."""
    rand_augment_layers: Annotated[int, Field(ge=0)] = 0
    """RandAugment: operations per image; 0 turns it off."""
    rand_augment_magnitude: Annotated[float, Field(ge=0.0, le=10.0)] = 5.0
    """RandAugment: strength of the operations."""
    erasing: Fraction = 0.0
    """Probability that a rectangle of the image is replaced by noise."""
    mixup: Rate = 0.0
    """Mixup: alpha of the Beta distribution of the weights; 0 turns it off."""
    cutmix: Rate = 0.0
    """CutMix: alpha of the Beta distribution of the areas; 0 turns it off."""

    @model_validator(mode="after")
    def _ranges(self) -> AugmentConfig:
        if not 0.0 < self.crop_area[0] <= self.crop_area[1] <= 1.0:
            raise ValueError(f"crop_area {list(self.crop_area)} must be two rising numbers in (0, 1]")
        if not 0.0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio {list(self.crop_ratio)} must be two rising positive numbers")
        return self


class DataConfig(Section):
    """From records to the net's input."""

    image_size: Annotated[int, Field(ge=16, le=4096)] = 224
    """Side of the training crops, px."""
    eval_scale: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Side of the evaluation crops over image_size; unless 1, to a multiple of 32 px. RandomResizedCrop shows things
    larger than a central crop does, and evaluating larger makes up for it (Touvron et al., arXiv 1906.06423)."""
    crop_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.875
    """Evaluation: side of the central crop over the image's short side."""
    progressive: Annotated[tuple[Pair, ...], Field(strict=False)] = ()
    """Progressive resizing: pairs of (share of the epochs done, share of image_size); sizes are multiples of 32 px."""
    stretch: bool = False
    """Evaluation: crop_fraction of both sides, stretched to a square, instead of a square: what TF-Slim does."""
    interpolation: Interpolation = "bilinear"
    """How images are resized. tf1-bilinear samples as TensorFlow 1 did, half a pixel off."""
    antialias: bool = False
    """Smooth before sampling where an image shrinks: better on few pixels, and about 0.4 ms more per image."""
    mean: Triple = (123.675, 116.28, 103.53)
    """Subtracted from the pixels' R, G, B in [0, 255]; ImageNet's means."""
    deviation: Triple = (58.395, 57.12, 57.375)
    """The pixels are divided by this; ImageNet's deviations."""
    shuffle_buffer: Annotated[int, Field(ge=1)] = 8192
    """Undecoded records that are shuffled among each other (about 110 kB each on ImageNet)."""
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _phases(self) -> DataConfig:
        starts = [start for start, _ in self.progressive]
        if self.progressive and (starts[0] != 0.0 or sorted(set(starts)) != starts or starts[-1] >= 1.0):
            raise ValueError("progressive must start at 0.0 and rise towards 1.0, as in [[0.0, 0.75], [0.6, 1.0]]")
        return self


class OptimizerConfig(Section):
    """How gradients change the weights."""

    name: Literal["rmsprop", "sgd", "adamw", "muon"] = "rmsprop"
    """muon: orthogonalised momentum for the 1×1 convolutions, AdamW for everything else."""
    learning_rate_per_256: Rate = 0.016
    """Peak learning rate for a batch of 256 images; it grows linearly with the batch."""
    momentum: Fraction = 0.9
    nesterov: bool = False
    rmsprop_decay: Fraction = 0.9
    epsilon: Rate = 1e-3
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)
    weight_decay: Rate = 1e-5
    """rmsprop and sgd: L2 in the gradient. adamw and muon: decoupled, times the learning rate."""
    gradient_clip: Rate = 0.0
    """Largest global norm of the gradient; 0 turns clipping off."""


class ScheduleConfig(Section):
    """The learning rate over the epochs."""

    name: Literal["exponential", "cosine", "constant"] = "exponential"
    warmup_epochs: Rate = 5.0
    """Epochs in which the learning rate rises from 0 linearly."""
    decay_epochs: Annotated[float, Field(gt=0.0)] = 2.4
    """exponential: the rate is multiplied by decay_rate once in so many epochs, in steps."""
    decay_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.97
    hold_epochs: Rate = 0.0
    """cosine: epochs at the peak before the decay begins."""
    final_fraction: Fraction = 0.0
    """cosine: the last learning rate over the peak."""


class TrainingConfig(Section):
    """How long, how many at a time, and what is kept."""

    epochs: Annotated[int, Field(ge=1)] = 350
    batch_size: Annotated[int, Field(ge=1)] = 256
    """Images per update, over all replicas."""
    accumulate_steps: Annotated[int, Field(ge=1)] = 1
    """Gradient accumulation: the batch is run in so many equal parts."""
    batch_parts: Annotated[int, Field(ge=1)] = 1
    """Each device runs a batch in so many equal parts side by side, each with its own batch statistics. On a CPU with
    as many cores that is up to a fifth faster: a core has a part to itself, and waits less for the others."""
    label_smoothing: Fraction = 0.1
    ema_decay: Share = 0.9999
    """Exponential moving average of the weights, with a ramp-up; 0 turns it off."""
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Order of the images, augmentation, dropout and first weights follow from it."""
    eval_every_epochs: Annotated[int, Field(ge=0)] = 1
    """0: evaluate at the end only."""
    eval_batch_size: Annotated[int, Field(ge=1)] = 64
    checkpoint_minutes: Annotated[float, Field(gt=0.0)] = 10.0
    """Save at least so often, besides the end of each epoch."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _parts(self) -> TrainingConfig:
        if self.batch_size % self.accumulate_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulate_steps {self.accumulate_steps}"
            )
        if self.batch_size // self.accumulate_steps % self.batch_parts:
            raise ValueError(
                f"{self.batch_size // self.accumulate_steps} images at a time can't be split into "
                f"{self.batch_parts} equal batch_parts (--set training.batch_parts=1 leaves them whole)"
            )
        return self


class Config(Section):
    """All that a run is configured with."""

    task: Literal["imagenet", "coco"] = "imagenet"
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    detection: DetectionConfig | None = None
    """Of the task coco only."""

    @model_validator(mode="before")
    @classmethod
    def _detection_by_task(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and not tree.get("detection"):
            return {**tree, "detection": {} if tree.get("task") == "coco" else None}
        return tree

    @model_validator(mode="after")
    def _fits_the_task(self) -> Config:
        if self.task == "imagenet" and self.detection is not None:
            raise ValueError("the section 'detection' is for detectors (task: coco), not for classifiers")
        if self.task == "coco":
            check_for_detection(self.model_dump(), Config().model_dump())
        return self

    @model_validator(mode="after")
    def _finetuning_fits(self) -> Config:
        self.finetune.check(self.task, layer_names(NETS[self.model.variant]))
        return self

    @model_validator(mode="after")
    def _warm_up_fits(self) -> Config:
        spent = self.schedule.warmup_epochs + self.schedule.hold_epochs
        if self.schedule.name == "cosine" and spent > self.training.epochs:
            raise ValueError(
                f"schedule.warmup_epochs + schedule.hold_epochs ({spent:g}) is longer than training.epochs "
                f"({self.training.epochs}); lower them or raise --epochs"
            )
        return self

    @property
    def learning_rate(self) -> float:
        """Peak learning rate for this batch size."""
        return self.optimizer.learning_rate_per_256 * self.training.batch_size / 256

    @property
    def eval_size(self) -> int:
        """Side of the evaluation crops, px."""
        full, share = self.data.image_size, self.data.eval_scale
        return full if share == 1.0 else max(32, round(full * share / 32) * 32)

    def image_size_at(self, epoch: int) -> int:
        """Side of the training crops in an epoch (0-based), px; progressive resizing rounds it to multiples of 32."""
        share = 1.0
        for start, phase_share in self.data.progressive:
            if epoch >= round(start * self.training.epochs):
                share = phase_share
        full = self.data.image_size
        return full if share == 1.0 else max(32, round(full * share / 32) * 32)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
