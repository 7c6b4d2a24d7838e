"""The sections of a configuration with their defaults, and the values that follow from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from mnasnet_cli.config.detection import DetectionConfig, check_for_detection
from mnasnet_cli.config.distillation import TeacherInputConfig
from mnasnet_cli.config.fields import Fraction, FractionBelowOne, NonNegative, Pair, Positive, Section, Triple
from mnasnet_cli.config.finetune import FinetuneConfig
from mnasnet_cli.config.net import NetConfig
from mnasnet_cli.config.net_table import NetTable, is_mnasnet, unknown_variant
from mnasnet_cli.config.pre_postprocessing import Decode, Interpolation, Preprocessing
from mnasnet_cli.config.task_names import DATASETS, TaskName, parse_task
from mnasnet_cli.nets.detector_spec import pyramid_taps
from mnasnet_cli.nets.spec import NETS, NetSpec, get_spec, layer_names


class ModelConfig(Section):
    """Variant, width and batch norm of the net."""

    variant: str = "b1"
    """Name of the variant; `mnasnet models` lists them. Or the path of a net of one's own: its name takes the place of
    the path, and its table becomes `model.table`."""
    width: Positive = 1.0
    """Width multiplier: factor on the channels of every layer."""
    dropout: FractionBelowOne | None = None
    """Dropout probability before the classifier; null: the variant's own (0.2; 0 for `small`)."""
    batch_norm_decay: Fraction | None = None
    """Decay per step of batch norm's moving mean and variance; null: the variant's own (0.99)."""
    batch_norm_ramp_up: bool = False
    """Raise that decay from 0.1 at the first step to its value, as (1 + step) / (10 + step). Short trainings need it:
    otherwise the mean and variance are still close to their initial values at the end."""
    batch_norm_floor: FractionBelowOne = 0.0
    """Raise batch norm's variances to this fraction of their layer's median before each evaluation; 0 leaves them. It
    keeps channels that were silent in training from becoming a hundred times too large on other images."""
    zero_init_residual: bool = False
    """Start the last batch norm of each residual block with scale 0, so that the block starts as the identity."""

    net: NetConfig = NetConfig()
    table: NetTable | None = None
    """The table of a net of one's own; null for a built-in variant."""

    @model_validator(mode="before")
    @classmethod
    def _check_variant(cls, tree: Any) -> Any:
        """Check the name first: without a table, the name of one's own net is unknown."""
        if isinstance(tree, Mapping) and tree.get("table") is None:
            name = tree.get("variant")
            if isinstance(name, str) and name not in NETS:
                raise ValueError(unknown_variant(name))
        return tree

    @model_validator(mode="after")
    def _check_table(self) -> ModelConfig:
        if self.table is not None and self.table.name != self.variant:
            raise ValueError(
                f"variant is {self.variant!r}, but the table is of {self.table.name!r}; name that, or another file"
            )
        return self

    @property
    def spec(self) -> NetSpec:
        """The architecture at its width."""
        return get_spec(self.table.spec if self.table else self.variant, self.width, self.net.overrides)

    @property
    def label(self) -> str:
        """The variant, with the digest of its table if it has one, so that two nets of one name differ."""
        return self.table.label if self.table else self.variant

    @property
    def title(self) -> str:
        """The net in words, for pages: "MnasNet b1", or the label where it is no MnasNet of ours."""
        return f"MnasNet {self.variant}" if is_mnasnet(self.table or self.variant) else self.label

    @property
    def norm_decay(self) -> float:
        """Decay per step of batch norm's moving statistics, after the ramp-up."""
        own = self.spec.dialect.batch_norm_decay
        return own if self.batch_norm_decay is None else self.batch_norm_decay


class AugmentConfig(Section):
    """Augmentation of the training images."""

    crop_area: Pair = (0.08, 1.0)
    """RandomResizedCrop: smallest and largest area of the crop, as fractions of the image's area."""
    crop_ratio: Pair = (3 / 4, 4 / 3)
    """RandomResizedCrop: smallest and largest aspect ratio of the crop, width over height."""
    flip: bool = True
    """Mirror half of the images horizontally."""
    color_jitter: NonNegative = 0.0
    """Scale brightness, contrast and saturation by factors in [1 - x, 1 + x]; 0 turns it off."""
    rand_augment_layers: Annotated[int, Field(ge=0)] = 0
    """RandAugment: number of operations per image; 0 turns it off."""
    rand_augment_magnitude: Annotated[float, Field(ge=0.0, le=10.0)] = 5.0
    """RandAugment: strength of the operations; 10 is the strongest."""
    erasing: Fraction = 0.0
    """Random erasing: probability that a rectangle of the image is replaced by noise."""
    mixup: NonNegative = 0.0
    """Mixup: alpha of the Beta distribution from which the mixing weight is drawn; 0 turns it off."""
    cutmix: NonNegative = 0.0
    """CutMix: alpha of the Beta distribution from which the pasted area is drawn; 0 turns it off."""

    @model_validator(mode="after")
    def _ranges(self) -> AugmentConfig:
        if not 0.0 < self.crop_area[0] <= self.crop_area[1] <= 1.0:
            raise ValueError(f"crop_area {list(self.crop_area)} must be two numbers in (0, 1], the smaller first")
        if not 0.0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio {list(self.crop_ratio)} must be two positive numbers, the smaller first")
        return self


class DataConfig(Section):
    """Image size, preprocessing and shuffling."""

    image_size: Annotated[int, Field(ge=16, le=4096)] = 224
    """Side of the training images, in pixels."""
    eval_scale: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Side of the evaluation images relative to `image_size`, rounded to a multiple of 32 pixels unless it is 1.
    Objects look larger in a RandomResizedCrop than in a central crop; larger evaluation images compensate for that
    (Touvron et al., arXiv 1906.06423)."""
    crop_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.875
    """Evaluation: side of the central crop as a fraction of the image's short side."""
    progressive: Annotated[tuple[Pair, ...], Field(strict=False)] = ()
    """Progressive resizing: pairs [fraction of the epochs at which a phase starts, fraction of `image_size`]; sizes are
    rounded to multiples of 32 pixels. Empty: one size throughout."""
    stretch: bool = False
    """Evaluation: crop `crop_fraction` of both sides, and resize the crop to a square without keeping its aspect ratio,
    as TF-Slim does."""
    interpolation: Interpolation = "bilinear"
    """Interpolation of the resize. `tf1-bilinear` samples half a pixel off, as TensorFlow 1 did."""
    antialias: bool = False
    """Smooth images before they are sampled down: more accurate on small images, about 0.4 ms more per image."""
    decode: Decode = "accurate"
    """How evaluation, prediction and export decode a JPEG. `accurate`: in full size and to Pillow's pixels, so that a
    PNG of the same picture gives the same result. `fast`: with libjpeg's fast transform, and at a half or a quarter of
    its scale if its crop is at least twice or four times the input's size, as training decodes."""
    mean: Triple = Preprocessing.mean
    """Subtracted from R, G and B in [0, 255]. The default is ImageNet's mean."""
    deviation: Triple = Preprocessing.deviation
    """Divides R, G and B after the subtraction. The default is ImageNet's standard deviation."""
    order: Literal["blocks", "buffer"] = "blocks"
    """Order of the training images. `blocks`: shuffled blocks of records, of which each process reads its share alone.
    `buffer`: a shuffle buffer, for which each process reads all records; runs of earlier versions go on with it."""
    block_kilobytes: Annotated[int, Field(ge=1)] = 128
    """`blocks`: size of a block, kB: neighbouring records that are read at once. A block has at least one record."""
    shuffle_buffer: Annotated[int, Field(ge=1)] = 8192
    """`blocks`: mean distance of the records of a block in the order of an epoch, in images. `buffer`: number of
    encoded records in the buffer."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight of each class in the loss. `balanced`: inversely proportional to its number of training images, so that
    each class counts as much as any other."""
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _check_progressive(self) -> DataConfig:
        starts = [start for start, _ in self.progressive]
        if self.progressive and (starts[0] != 0.0 or sorted(set(starts)) != starts or starts[-1] >= 1.0):
            raise ValueError(
                "progressive must have phases that start at 0.0, rise and stay below 1.0, such as "
                f"[[0.0, 0.75], [0.6, 1.0]]; found starts {starts}"
            )
        return self


class OptimizerConfig(Section):
    """Update rule, peak learning rate and weight decay."""

    name: Literal["rmsprop", "sgd", "adamw", "muon"] = "rmsprop"
    """Update rule. `muon` applies orthogonalized momentum to 1×1 convolutions and AdamW to all other weights."""
    learning_rate_per_256: NonNegative = 0.016
    """Peak learning rate per 256 images of the batch: the peak is this × `training.batch_size` / 256."""
    momentum: Fraction = 0.9
    """Momentum of `rmsprop`, `sgd` and `muon`."""
    nesterov: bool = False
    """Use Nesterov momentum in `sgd`; `muon` always does."""
    rmsprop_decay: Fraction = 0.9
    """Decay per step of the mean squared gradient of `rmsprop`."""
    epsilon: NonNegative = 1e-3
    """Term that keeps the divisor above 0, in `rmsprop`, `adamw` and the AdamW part of `muon`."""
    betas: Annotated[tuple[FractionBelowOne, FractionBelowOne], Field(strict=False)] = (0.9, 0.999)
    """Decay per step of the mean and of the mean squared gradient of `adamw` and the AdamW part of `muon`."""
    weight_decay: NonNegative = 1e-5
    """Weight decay: an L2 term in the gradient of `rmsprop` and `sgd`; decoupled in `adamw` and `muon`, scaled by the
    learning rate."""
    gradient_clip: NonNegative = 0.0
    """Clip the global norm of the gradient to this value; 0 turns it off."""


class ScheduleConfig(Section):
    """Learning rate schedule: warm-up and decay."""

    name: Literal["exponential", "cosine", "constant"] = "exponential"
    """Shape of the schedule after the warm-up."""
    warmup_epochs: NonNegative = 5.0
    """Warm-up: epochs in which the learning rate rises linearly from 0 to its peak."""
    decay_epochs: Positive = 2.4
    """`exponential`: epochs between two decay steps. They are counted from the start, the warm-up included."""
    decay_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.97
    """`exponential`: factor on the learning rate at each decay step."""
    hold_epochs: NonNegative = 0.0
    """`cosine`: epochs at the peak between the warm-up and the decay."""
    final_fraction: Fraction = 0.0
    """`cosine`: final learning rate as a fraction of the peak."""


AUTO_BATCH_SIZE = 0  # what `auto` is, until the training knows the number


def _parse_batch_size(value: Any) -> Any:
    if value == "auto":
        return AUTO_BATCH_SIZE
    if isinstance(value, str) or (isinstance(value, int) and value < 1):
        raise ValueError(f"must be a number of images, at least 1, or auto; found {value!r}")
    return value


BatchSize = Annotated[
    int,
    BeforeValidator(_parse_batch_size, json_schema_input_type=Annotated[int, Field(ge=1)] | Literal["auto"]),
    PlainSerializer(lambda value: value or "auto", return_type=int | Literal["auto"]),
]


class TrainingConfig(Section):
    """Duration, batches, evaluation and checkpoints."""

    epochs: Annotated[int, Field(ge=1)] = 350
    """Passes over the training images."""
    batch_size: BatchSize = 256
    """Images per update of the weights, over all devices. `auto`: as many as memory has room for, at most 256 a device
    (64 in detection), and at least 20 updates an epoch; the run keeps the number that it begins with."""
    accumulate_steps: Annotated[int, Field(ge=1)] = 1
    """Gradient accumulation: number of equal parts of a batch that are run one after the other, to save memory."""
    batch_parts: Annotated[int, Field(ge=1)] = 1
    """Number of equal parts of a batch that each device runs in parallel, each with batch norm statistics of its own.
    With one part per CPU core, training on small images is up to a third faster: the cores wait less for each other."""
    label_smoothing: Fraction = 0.1
    """Fraction of the target probability that is spread evenly over all classes; 0 turns it off."""
    ema_decay: FractionBelowOne = 0.9999
    """Decay per step of the exponential moving average (EMA) of the weights; it ramps up as (1 + step) / (10 + step).
    0 turns it off."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Data type of the computation. `bfloat16` is mixed precision: the stored weights stay float32."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the initial weights, the order of the images, augmentation and dropout."""
    eval_every_epochs: Annotated[int, Field(ge=0)] = 1
    """Epochs between two evaluations; 0 evaluates at the end only."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Early stopping: end the training after this many evaluations without a better result; 0 trains all epochs."""
    eval_batch_size: Annotated[int, Field(ge=1)] = 64
    """Images per step of the evaluation."""
    checkpoint_minutes: Positive = 10.0
    """Longest time between two checkpoints, in minutes; each epoch also ends with one."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 3
    """Number of newest checkpoints that are kept, besides the best one."""
    track: Literal["none", "mlflow"] = "none"
    """Where else than in the run directory the run is recorded. `mlflow`: at the server or in the store of
    MLFLOW_TRACKING_URI; needs the package MLflow."""
    teacher_weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share w of the teacher's loss in the loss of a training with `--teacher`: (1 - w) · the labels' + w · the
    teacher's. At 1 the student learns from the teacher alone."""
    teacher_temperature: Positive = 1.0
    """Temperature T of the teacher's loss, T² · KL(softmax(teacher / T) ‖ softmax(student / T)) of the logits."""
    teacher_input: TeacherInputConfig = TeacherInputConfig()

    @model_validator(mode="after")
    def _check_divisible(self) -> TrainingConfig:
        if self.batch_size % self.accumulate_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulate_steps {self.accumulate_steps}"
            )
        images = self.batch_size // self.accumulate_steps
        if images % self.batch_parts:
            raise ValueError(
                f"{images} images at a time (batch_size / accumulate_steps) are not a multiple of batch_parts "
                f"{self.batch_parts}; --set training.batch_parts=1 keeps them in one part"
            )
        return self


class Config(Section):
    """The whole configuration of a run."""

    task: TaskName = "classification"
    """`classification` trains a classifier, `detection` a detector. `imagenet` and `coco` are the older names."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    detection: DetectionConfig | None = None
    """Settings of a detector; null for a classifier."""

    @model_validator(mode="before")
    @classmethod
    def _add_detection(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and not tree.get("detection"):
            detects = tree.get("task") in ("detection", DATASETS["detection"])
            return {**tree, "detection": {} if detects else None}
        return tree

    @field_validator("task", mode="before")
    @classmethod
    def _parse_task(cls, word: Any) -> TaskName:
        return parse_task(word)

    @model_validator(mode="after")
    def _check_task(self) -> Config:
        if self.task == "classification" and self.detection is not None:
            raise ValueError(
                "the section 'detection' is for detectors (task: detection), not for classifiers; remove it"
            )
        if self.task == "detection":
            check_for_detection(self.model_dump(), Config().model_dump())
            if self.detection is not None:
                pyramid_taps(self.model.spec, self.detection.spec)  # ValueError if the net halves the image too rarely
        return self

    @model_validator(mode="after")
    def _check_finetune(self) -> Config:
        self.finetune.check(self.task, layer_names(self.model.spec))
        return self

    @model_validator(mode="after")
    def _check_warmup(self) -> Config:
        spent = self.schedule.warmup_epochs + self.schedule.hold_epochs
        if self.schedule.name == "cosine" and spent > self.training.epochs:
            raise ValueError(
                f"schedule.warmup_epochs + schedule.hold_epochs ({spent:g}) is more than training.epochs "
                f"({self.training.epochs}); lower them or raise --epochs"
            )
        return self

    @property
    def learning_rate(self) -> float:
        """The peak learning rate at this batch size."""
        return self.optimizer.learning_rate_per_256 * self.training.batch_size / 256

    @property
    def dataset(self) -> str:
        """ "imagenet" or "coco": the name in commands, folders and records."""
        return DATASETS[self.task]

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the net's input, in evaluation."""
        names = [field.name for field in dataclasses.fields(Preprocessing)]
        values = {name: getattr(self.data, name) for name in names} | {"image_size": self.eval_size}
        if self.task == "detection":
            values["crop_fraction"] = None
        return Preprocessing(**values)

    @property
    def eval_size(self) -> int:
        """Side of the evaluation images, px."""
        full, share = self.data.image_size, self.data.eval_scale
        return full if share == 1.0 else max(32, round(full * share / 32) * 32)

    def image_size_at(self, epoch: int) -> int:
        """Side of the training images in an epoch (0-based), px; progressive resizing rounds it to multiples of 32."""
        share = 1.0
        for start, phase_share in self.data.progressive:
            if epoch >= round(start * self.training.epochs):
                share = phase_share
        full = self.data.image_size
        return full if share == 1.0 else max(32, round(full * share / 32) * 32)

    def comparable(self) -> dict[str, Any]:
        """Return the sections as nested dicts, with a few words in place of the table of a net of one's own."""
        tree = self.model_dump(mode="json")
        if self.model.table is not None:
            tree["model"]["table"] = self.model.label
        return tree

    def to_yaml(self) -> str:
        """The configuration as YAML, every key included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
