"""Published weights of these nets: URLs, accuracies, licences and checksums (no TensorFlow).

A checksum is listed only if its publisher gave it. The file names of torchvision and of timm's releases end with the
first digits of their SHA-256; the model hub shows the SHA-256 of every large file.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from mnasnet_cli.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class WebFile:
    """A file to download. ``sha256`` is in hex, whole or its first digits; None if none was published."""

    url: str
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """A trained net. Accuracies are the publisher's, as fractions in [0, 1].

    Attributes:
      name: the name for `mnasnet import`, "publisher/their name".
      file: the preferred file; ``others`` hold the same weights.
      image_size: side of the training and evaluation images in px.
      top1, top5: on the ImageNet validation set; None for a detector, and if not published.
      average_precision: of a detector on COCO val2017.
      direct: False if the URL is a web page with a download button.
      crop_fraction: of the evaluation images, where it is not that of the other weights of the format.
    """

    name: str
    variant: str
    width: float
    file: WebFile
    licence: str
    source: str
    others: tuple[WebFile, ...] = ()
    image_size: int = 224
    top1: float | None = None
    top5: float | None = None
    average_precision: float | None = None
    direct: bool = True
    crop_fraction: float | None = None

    @property
    def kind(self) -> str:
        return "classifier" if self.average_precision is None else "detector"


def find_weights(name: str) -> PublishedWeights:
    """The published weights with this name.

    Raises:
      ConfigError: there are none.
    """
    by_name = {weights.name: weights for weights in WEIGHTS}
    if name not in by_name:
        suggestion = nearest(name, by_name) or "; `mnasnet models` lists them"
        raise ConfigError(f"no published weights are called '{name}'{suggestion}")
    return by_name[name]


def known_sha256(url: str) -> str | None:
    """The published checksum of a URL; None if it is unknown."""
    files = (file for weights in WEIGHTS for file in (weights.file, *weights.others))
    return next((file.sha256 for file in files if file.url == url), None)


# ---- torchvision: symmetric padding; the licence of the library. ---------------------------------------------------


def _torchvision(
    name: str,
    width: float,
    file: str,
    top1: float,
    top5: float,
    variant: str = "b1",
    source: str = "torchvision 0.29, models/mnasnet.py",
    crop_fraction: float | None = None,
) -> PublishedWeights:
    digest = file.rpartition("-")[2].partition(".")[0]
    return PublishedWeights(
        name=f"torchvision/{name}",
        variant=variant,
        width=width,
        file=WebFile(f"https://download.pytorch.org/models/{file}", digest),
        licence="BSD-3-Clause",
        source=source,
        top1=top1,
        top5=top5,
        crop_fraction=crop_fraction,
    )


_MOBILENET: dict[str, Any] = {"variant": "mobilenet-v2", "source": "torchvision 0.28, models/mobilenetv2.py"}


_TORCHVISION = (
    _torchvision("mnasnet1_3", 1.3, "mnasnet1_3-a4c69d6f.pth", 0.76506, 0.93522),
    _torchvision("mnasnet1_0", 1.0, "mnasnet1.0_top1_73.512-f206786ef8.pth", 0.73456, 0.9151),
    _torchvision("mnasnet0_75", 0.75, "mnasnet0_75-7090bc5f.pth", 0.7118, 0.90496),
    _torchvision("mnasnet0_5", 0.5, "mnasnet0.5_top1_67.823-3ffadce67e.pth", 0.67734, 0.8749),
    _torchvision("mobilenet_v2", 1.0, "mobilenet_v2-b0353104.pth", 0.71878, 0.90286, **_MOBILENET),
    # The second version of the weights is evaluated on 224 of 232 px.
    _torchvision(
        "mobilenet_v2-v2",
        1.0,
        "mobilenet_v2-7ebf99e0.pth",
        0.72154,
        0.90822,
        **_MOBILENET,
        crop_fraction=224 / 232,
    ),
)

# ---- timm: the same weights on the model hub (safetensors) and in the releases of its repository (pickle). ---------

_HUB = "https://huggingface.co/timm"
_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights"


def _timm(
    name: str, variant: str, width: float, hub: WebFile, release: str, top1: float, top5: float, version: str = "1.0.31"
) -> PublishedWeights:
    digest = release.rpartition("-")[2].partition(".")[0]
    return PublishedWeights(
        name=f"timm/{name}",
        variant=variant,
        width=width,
        file=hub,
        others=(WebFile(f"{_RELEASES}/{release}", digest),),
        licence="Apache-2.0",
        source=f"timm {version}, models/efficientnet.py and results/results-imagenet.csv",
        top1=top1,
        top5=top5,
    )


def _on_hub(name: str, sha256: str | None = None, revision: str = "main") -> WebFile:
    return WebFile(f"{_HUB}/{name}/resolve/{revision}/model.safetensors", sha256)


_TIMM = (
    _timm(
        "semnasnet_100.rmsp_in1k",
        "a1",
        1.0,
        _on_hub("semnasnet_100.rmsp_in1k", "af6114db10f51455c9bb5af3c1c7810aefe4e7ca16b8edeb7a52288bf1607120"),
        "mnasnet_a1-d9418771.pth",
        0.7545,
        0.92594,
    ),
    _timm(
        "semnasnet_075.rmsp_in1k",
        "a1",
        0.75,
        _on_hub("semnasnet_075.rmsp_in1k"),
        "semnasnet_075-18710866.pth",
        0.72992,
        0.91138,
    ),
    _timm(
        "mnasnet_100.rmsp_in1k",
        "b1",
        1.0,
        _on_hub("mnasnet_100.rmsp_in1k", revision="35e4efca71f51a0024778be325141f184af4a2bd"),
        "mnasnet_b1-74cb7081.pth",
        0.7465,
        0.92124,
    ),
    _timm(
        "mnasnet_small.lamb_in1k",
        "small",
        1.0,
        _on_hub(
            "mnasnet_small.lamb_in1k",
            "ada9e8edd9ae61ed43b30e03b6602fb0ae392a9ba91f01356943b4fa9dbd08f4",
            "ca8e2b6929aec79c74cbd9cdb8950395523d9bb6",
        ),
        "mnasnet_small_lamb-aff75073.pth",
        0.66196,
        0.86504,
    ),
    _timm(
        "mobilenetv2_140.ra_in1k",
        "mobilenet-v2",
        1.4,
        _on_hub("mobilenetv2_140.ra_in1k"),
        "mobilenetv2_140_ra-21a4e913.pth",
        0.76528,
        0.93008,
        "1.0.29",
    ),
    _timm(
        "mobilenetv2_100.ra_in1k",
        "mobilenet-v2",
        1.0,
        _on_hub("mobilenetv2_100.ra_in1k"),
        "mobilenetv2_100_ra-b33bc2c4.pth",
        0.7291,
        0.91,
        "1.0.29",
    ),
    _timm(
        "mobilenetv2_050.lamb_in1k",
        "mobilenet-v2",
        0.5,
        _on_hub("mobilenetv2_050.lamb_in1k"),
        "mobilenetv2_050-3d30d450.pth",
        0.65928,
        0.86114,
        "1.0.29",
    ),
)

# ---- The authors of the paper: TPU checkpoints in tar archives; no checksums were published. -----------------------

_TPU_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints/mnasnet"


def _tpu(
    name: str, width: float, image_size: int, top1: float, top5: float | None, variant: str = "a1"
) -> PublishedWeights:
    return PublishedWeights(
        name=f"tpu/{name}",
        variant=variant,
        width=width,
        file=WebFile(f"{_TPU_BUCKET}/{name}.tgz"),
        licence="Apache-2.0",
        source="github.com/tensorflow/tpu, models/official/mnasnet/README.md",
        image_size=image_size,
        top1=top1,
        top5=top5,
    )


_TPU = (
    _tpu("mnasnet-a1-140", 1.4, 224, 0.772, 0.935),
    _tpu("mnasnet-a1", 1.0, 224, 0.752, 0.925),
    _tpu("mnasnet-a1-075", 0.75, 224, 0.733, 0.913),
    _tpu("mnasnet-a1-050", 0.5, 224, 0.689, 0.884),
    _tpu("mnasnet-a1-035", 0.35, 224, 0.641, 0.851),
    _tpu("mnasnet-small", 1.0, 224, 0.66, None, variant="small"),  # "~66%"
    _tpu("mnasnet-a1_d1.4_i192", 1.4, 192, 0.761, 0.93),
    _tpu("mnasnet-a1_d1.0_i192", 1.0, 192, 0.74, 0.916),
    _tpu("mnasnet-a1_d0.75_i192", 0.75, 192, 0.721, 0.905),
    _tpu("mnasnet-a1_d0.5_i192", 0.5, 192, 0.672, 0.874),
    _tpu("mnasnet-a1_d0.35_i192", 0.35, 192, 0.624, 0.838),
    _tpu("mnasnet-a1_d1.4_i160", 1.4, 160, 0.748, 0.921),
    _tpu("mnasnet-a1_d1.0_i160", 1.0, 160, 0.72, 0.905),
    _tpu("mnasnet-a1_d0.75_i160", 0.75, 160, 0.701, 0.893),
    _tpu("mnasnet-a1_d0.5_i160", 0.5, 160, 0.649, 0.858),
    # The source gives its top-1 as 52.3 and as 59.3; only 59.3 lies between the values of the neighbouring rows.
    _tpu("mnasnet-a1_d0.35_i160", 0.35, 160, 0.593, 0.815),
    _tpu("mnasnet-a1_d1.4_i128", 1.4, 128, 0.725, 0.906),
    _tpu("mnasnet-a1_d1.0_i128", 1.0, 128, 0.693, 0.889),
    _tpu("mnasnet-a1_d0.75_i128", 0.75, 128, 0.67, 0.873),
    _tpu("mnasnet-a1_d0.5_i128", 0.5, 128, 0.608, 0.83),
    _tpu("mnasnet-a1_d0.35_i128", 0.35, 128, 0.548, 0.781),
    _tpu("mnasnet-a1_d1.4_i96", 1.4, 96, 0.686, 0.881),
    _tpu("mnasnet-a1_d1.0_i96", 1.0, 96, 0.644, 0.858),
    _tpu("mnasnet-a1_d0.75_i96", 0.75, 96, 0.621, 0.84),
    _tpu("mnasnet-a1_d0.5_i96", 0.5, 96, 0.547, 0.781),
    _tpu("mnasnet-a1_d0.35_i96", 0.35, 96, 0.493, 0.734),
)

# ---- The TF-Slim port of 2019: its archives are on a drive that asks for confirmation. -----------------------------

_PORT = {
    "width": 1.0,
    "variant": "b1-2019",
    "licence": "Apache-2.0",
    "source": "github.com/rootkitchao/mnasnet_tensorflow, README.md",
    "direct": False,
}
_PORTED = (
    PublishedWeights(
        name="port-2019/mnasnet-b1",
        file=WebFile("https://drive.google.com/open?id=1A04CaDk6WhXCwZ1ivkLQxE1YhPV1WYcz"),
        top1=0.74094,
        top5=0.92002,
        **_PORT,  # type: ignore[arg-type]
    ),
    PublishedWeights(
        name="port-2019/ssd-mnasnet-b1-fpn",
        file=WebFile("https://drive.google.com/open?id=1t6WAYdG5lYMd2pOKS89hTE-UOpy4KrEh"),
        average_precision=0.337,
        image_size=640,
        **_PORT,  # type: ignore[arg-type]
    ),
)

WEIGHTS: tuple[PublishedWeights, ...] = (*_TPU, *_TIMM, *_TORCHVISION, *_PORTED)
