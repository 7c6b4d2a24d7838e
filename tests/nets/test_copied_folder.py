"""A copy of the folder nets/ in another package and under another name, as users of TF-Slim make it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from mnasnet_cli.nets.spec import NETS, count_parameters

PROGRAM = """
import importlib, json, pkgutil, sys

sys.path.insert(0, sys.argv[1])
sys.modules.update(mnasnet_cli=None, data_prep=None)  # as if they were not installed

import library.my_nets as package
from library.my_nets import spec
assert "tensorflow" not in sys.modules
parameters = {name: spec.count_parameters(net) for name, net in spec.NETS.items()}

modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
for name in modules:
    importlib.import_module("library.my_nets." + name)

from library.my_nets import mnasnet
from library.my_nets.slim_compat import slim, tf, tf1
with tf.Graph().as_default(), slim.arg_scope(mnasnet.arg_scopes_map["mnasnet_small"]()):
    logits, end_points = mnasnet.networks_map["mnasnet_small"](tf1.placeholder(tf.float32, [2, 32, 32, 3]), 1000)
    trainable = sum(variable.shape.num_elements() for variable in tf1.trainable_variables())

print(json.dumps({
    "parameters": parameters, "modules": modules, "trainable": trainable, "logits": logits.shape.as_list(),
    "ours": sorted(name for name in sys.modules if name.split(".")[0] in ("mnasnet_cli", "data_prep")),
}))
"""


def test_a_copy_works_without_our_package(repo, tmp_path):
    nets = repo / "mnasnet_cli/nets"
    (tmp_path / "library").mkdir()
    shutil.copytree(nets, tmp_path / "library/my_nets", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-I", "-c", PROGRAM, str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found == {
        "parameters": {name: count_parameters(spec) for name, spec in NETS.items()},
        "modules": sorted(path.stem for path in nets.glob("*.py") if path.stem != "__init__"),
        "trainable": count_parameters(NETS["small"]),
        "logits": [2, 1000],
        "ours": ["data_prep", "mnasnet_cli"],  # the two entries that forbid them
    }
