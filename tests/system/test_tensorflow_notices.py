"""TensorFlow is imported without notices; other output stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SILENCE = "from mnasnet_cli.system.tensorflow_notices import silence_tensorflow; silence_tensorflow()\n"
PROGRAM = f"""
import socket, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import mnasnet_cli as mnasnet, numpy as np, tiny_net
with tiny_net.tiny_nets():
    print(mnasnet.load(sys.argv[1]).predict(np.zeros((50, 50, 3), np.uint8))[0].name)
import tensorflow as tf
tf.get_logger().warning("loud")
taken = socket.create_server(("127.0.0.1", 0))
try:
    tf.distribute.Server({{"worker": [f"127.0.0.1:{{taken.getsockname()[1]}}"]}}, "worker", 0)
except tf.errors.UnknownError as error:
    print("raised", file=sys.stderr)
sys.ps1 = ""
"""


def test_tensorflow_says_nothing_and_others_are_heard(made_classifier):
    """Not even what it logs past its own level. A server whose port is taken: gRPC logs that with absl, and TensorFlow
    raises it. An interactive Python is the harder case: TensorFlow lowers the level of its logger there.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GRPC_"))}
    command = [sys.executable, "-i", "-c", PROGRAM, str(made_classifier)]
    result = subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=True)
    assert result.stdout.strip() in ("ant", "bee", "cat", "dog")
    assert result.stderr == "raised\n\n"  # the end of an interactive Python is a new line


def test_a_failing_import_keeps_its_message(tmp_path, repo):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'I0000 00:00 notice\\nneeds AVX\\n')\nraise ImportError('broken')\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{repo}"}
    result = subprocess.run(
        [sys.executable, "-c", SILENCE + "import tensorflow"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("needs AVX\nTraceback")
    assert result.stderr.endswith("ImportError: broken\n")
