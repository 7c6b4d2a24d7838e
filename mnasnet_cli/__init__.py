"""Train, evaluate and ship MnasNet classifiers and detectors, from the command line or from Python.

    import mnasnet_cli as mnasnet

    model = mnasnet.load("runs/photos")
    for prediction in model.predict("holiday/*.jpg"):
        print(prediction.file, prediction.name, prediction.score)

TensorFlow is imported when it is needed first, not here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mnasnet_cli.system.tensorflow_start import choose_onednn

if TYPE_CHECKING:
    from mnasnet_cli.api.catalogue import models as models
    from mnasnet_cli.api.model import Model as Model
    from mnasnet_cli.api.model import load as load
    from mnasnet_cli.api.preparation import prepare as prepare
    from mnasnet_cli.api.searching import FoundNets as FoundNets
    from mnasnet_cli.api.searching import search as search
    from mnasnet_cli.api.training import TrainedRun as TrainedRun
    from mnasnet_cli.api.training import train as train
    from mnasnet_cli.errors import MnasnetError as MnasnetError
    from mnasnet_cli.prediction.explaining import Explanation as Explanation
    from mnasnet_cli.prediction.results import Prediction as Prediction

choose_onednn()  # here, because a script may import TensorFlow itself before it uses a name from here

__version__ = "0.1.0"

# Name → the module that has it, which is imported when the name is used first.
_MODULES = {
    "load": "api.model",
    "train": "api.training",
    "prepare": "api.preparation",
    "search": "api.searching",
    "models": "api.catalogue",
    "Model": "api.model",
    "Prediction": "prediction.results",
    "Explanation": "prediction.explaining",
    "TrainedRun": "api.training",
    "FoundNets": "api.searching",
    "MnasnetError": "errors",
}

__all__ = [
    "Explanation",
    "FoundNets",
    "MnasnetError",
    "Model",
    "Prediction",
    "TrainedRun",
    "load",
    "models",
    "prepare",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
