"""What works with TensorFlow alone, where our package is not installed: a SavedModel, and a copy of the folder nets/.

Users of TF-Slim copy the folder into another package and under another name.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_net import TINY_NETS

from mnasnet_cli.export.sample_images import generated_image
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.nets.spec import NETS, count_parameters

PROGRAM = """
import importlib, json, pkgutil, sys

sys.path.insert(0, sys.argv[1])
sys.modules.update(mnasnet_cli=None, data_prep=None)  # as if they were not installed

import library.my_nets as package
from library.my_nets import spec
assert "tensorflow" not in sys.modules
parameters = {name: spec.count_parameters(net) for name, net in spec.NETS.items()}

import tensorflow as tf
model = tf.saved_model.load(sys.argv[2])
outputs = model.signatures["serving_default"](image_bytes=tf.constant([open(sys.argv[3], "rb").read()] * 2))
assert "tf_slim" not in sys.modules

modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
for name in modules:
    importlib.import_module("library.my_nets." + name)

from library.my_nets import mnasnet
from library.my_nets.slim_compat import slim, tf, tf1
with tf.Graph().as_default(), slim.arg_scope(mnasnet.arg_scopes_map["mnasnet_small"]()):
    logits, end_points = mnasnet.networks_map["mnasnet_small"](tf1.placeholder(tf.float32, [2, 32, 32, 3]), 1000)
    trainable = sum(variable.shape.num_elements() for variable in tf1.trainable_variables())

print(json.dumps({
    "model": {name: values.numpy().tolist() for name, values in outputs.items()},
    "nets": {"parameters": parameters, "modules": modules, "trainable": trainable, "logits": logits.shape.as_list()},
    "ours": sorted(name for name in sys.modules if name.split(".")[0] in ("mnasnet_cli", "data_prep")),
}))
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.jpg"
    path.write_bytes(generated_image(3, 32))
    return path


@pytest.fixture(scope="module")
def found(repo: Path, exported_classifier: Path, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a program without our package finds."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "library").mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repo / "mnasnet_cli/nets", folder / "library/my_nets", ignore=ignored)
    model = exported_classifier / "saved-model" / "1"
    command = [sys.executable, "-I", "-c", PROGRAM, str(folder), str(model), str(image)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_nothing_of_ours_is_imported(found: Any) -> None:
    assert found["ours"] == ["data_prep", "mnasnet_cli"]  # the two entries that forbid them


def test_a_saved_model_predicts_as_its_checkpoint(found: Any, made_classifier: Path, image: Path) -> None:
    runner = open_model(str(made_classifier))
    expected = runner.predict_tensors(runner.preprocess(image.read_bytes())[np.newaxis])["logits"]
    np.testing.assert_allclose(found["model"]["logits"], np.repeat(expected, 2, axis=0), atol=1e-5)
    assert np.sum(found["model"]["probabilities"][0]) == pytest.approx(1.0, abs=1e-6)


def test_a_copy_of_the_nets_builds_them(found: Any, repo: Path) -> None:
    assert found["nets"] == {
        "parameters": {name: count_parameters(spec) for name, spec in NETS.items() if name not in TINY_NETS},
        "modules": sorted(path.stem for path in repo.glob("mnasnet_cli/nets/*.py") if path.stem != "__init__"),
        "trainable": count_parameters(NETS["small"]),
        "logits": [2, 1000],
    }
