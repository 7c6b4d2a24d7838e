"""Writes state dicts of torchvision's and timm's nets with random weights, and the logits that they give.

    python tests/peers/torch_models.py OUT      # a Python with torch, torchvision, timm and safetensors

For `check_torch.py`. Weights and batch norm's statistics are drawn at random, so that nothing is left at the values
that hide a mistake; their spread keeps activations moderate, as those of trained nets are: where they grow into
the thousands, squeeze-excite's gates are steps, and PyTorch itself differs between float32 and float64.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

SIZES, IMAGES = (224, 192), 8
MODELS = {
    "mnasnet0_5": ("torchvision", "b1", 0.5),
    "mnasnet0_75": ("torchvision", "b1", 0.75),
    "mnasnet1_0": ("torchvision", "b1", 1.0),
    "mnasnet1_3": ("torchvision", "b1", 1.3),
    "mnasnet_100": ("timm", "b1", 1.0),
    "mnasnet_small": ("timm", "small", 1.0),
    "mobilenet_v2": ("torchvision", "mobilenet-v2", 1.0),
    "mobilenet_v2-035": ("torchvision", "mobilenet-v2", 0.35),
    "mobilenet_v2-140": ("torchvision", "mobilenet-v2", 1.4),
    "mobilenetv2_050": ("timm", "mobilenet-v2", 0.5),
    "mobilenetv2_100": ("timm", "mobilenet-v2", 1.0),
    "mobilenetv2_140": ("timm", "mobilenet-v2", 1.4),
    "semnasnet_075": ("timm", "a1", 0.75),
    "semnasnet_100": ("timm", "a1", 1.0),
    "semnasnet_140": ("timm", "a1", 1.4),
    "mnasnet_100-same": ("timm", "b1", 1.0),  # made with TensorFlow's padding and epsilon
}


def make(name: str) -> nn.Module:
    """The net of a name, in inference mode."""
    library, variant, width = MODELS[name]
    if variant == "mobilenet-v2" and library == "torchvision":
        return torchvision.models.MobileNetV2(width_mult=width).eval()
    if library == "torchvision":
        return getattr(torchvision.models, name)(weights=None).eval()
    options = {"pad_type": "same", "bn_eps": 1e-3} if name.endswith("-same") else {}
    return timm.create_model(name.removesuffix("-same"), **options).eval()


def randomize(model: nn.Module, seed: int) -> None:
    """Draws every weight, bias and statistic anew."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0.0, fan_in**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0.0, 0.2, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0.0, 0.2, generator=generator)
            module.running_mean.normal_(0.0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.num_batches_tracked.fill_(1000 + seed)


def main(out: Path) -> None:
    """Writes NAME.safetensors, NAME.pth and NAME.npz for each model; the list of them, models.json, comes last."""
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    images = {size: random.normal(0.0, 1.0, [IMAGES, 3, size, size]).astype(np.float32) for size in SIZES}
    for seed, name in enumerate(MODELS):
        model = make(name)
        randomize(model, seed)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, str(out / f"{name}.safetensors"))
        torch.save(model.state_dict(), out / f"{name}.pth")
        with torch.inference_mode():
            logits = {f"logits_{size}": model(torch.from_numpy(values)).numpy() for size, values in images.items()}
        np.savez(out / f"{name}.npz", **logits)
        print(f"{name}: {sum(value.numel() for value in model.parameters()):,} parameters", flush=True)
    np.savez(out / "images.npz", **{f"images_{size}": values.transpose(0, 2, 3, 1) for size, values in images.items()})
    (out / "models.json").write_text(json.dumps(MODELS))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
