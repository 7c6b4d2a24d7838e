"""Published accuracies of these nets with their sources, without TensorFlow."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """ImageNet accuracy as fractions in [0, 1]; ``top5`` is None if the source has none."""

    net: str
    width: float
    image_size: int
    top1: float
    top5: float | None
    source: str


_TPU = "github.com/tensorflow/tpu, models/official/mnasnet/README.md"
_PAPER_B1 = "the paper's, as quoted by timm's author (forums.fast.ai/t/efficientnet/46978/79)"
_TORCHVISION = "torchvision 0.29 models/mnasnet.py (symmetric padding, its own training)"
_TORCHVISION_MOBILENET = "torchvision 0.28 models/mobilenetv2.py, IMAGENET1K_V1 (symmetric padding, its own training)"
_TIMM = "timm 1.0.29 results/results-imagenet.csv (symmetric padding, its own training)"
_PORT = "github.com/rootkitchao/mnasnet_tensorflow, README.md"

# The authors' own come first: `mnasnet models` shows the first row of a net and width.
PUBLISHED: tuple[Published, ...] = (
    Published("a1", 1.4, 224, 0.772, 0.935, _TPU),
    Published("a1", 1.0, 224, 0.752, 0.925, _TPU),
    Published("a1", 0.75, 224, 0.733, 0.913, _TPU),
    Published("a1", 0.5, 224, 0.689, 0.884, _TPU),
    Published("a1", 0.35, 224, 0.641, 0.851, _TPU),
    Published("b1", 1.0, 224, 0.745, None, _PAPER_B1),
    Published("b1", 1.3, 224, 0.76506, 0.93522, _TORCHVISION),
    Published("b1", 1.0, 224, 0.73456, 0.9151, _TORCHVISION),
    Published("b1", 0.75, 224, 0.7118, 0.90496, _TORCHVISION),
    Published("b1", 0.5, 224, 0.67734, 0.8749, _TORCHVISION),
    Published("small", 1.0, 224, 0.66, None, _TPU + ' ("~66%")'),
    Published("b1-2019", 1.0, 224, 0.74094, 0.92002, _PORT),
    Published("mobilenet-v2", 1.4, 224, 0.76528, 0.93008, _TIMM),
    Published("mobilenet-v2", 1.0, 224, 0.71878, 0.90286, _TORCHVISION_MOBILENET),
    Published("mobilenet-v2", 0.5, 224, 0.65928, 0.86114, _TIMM),
)
