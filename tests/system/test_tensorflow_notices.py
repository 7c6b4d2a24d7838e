"""TensorFlow is imported without notices; other output stays."""

from __future__ import annotations

import os
import subprocess
import sys

SILENCE = "from mnasnet_cli.system.tensorflow_notices import silence_tensorflow; silence_tensorflow()\n"


def test_tensorflow_says_nothing_from_its_import_on_and_others_are_heard():
    """Not even what it logs past its own level. A server whose port is taken: gRPC logs that with absl, and TensorFlow
    raises it.
    """
    code = SILENCE + (
        "import socket, sys\n"
        "import tensorflow as tf\n"
        "tf.reduce_sum(tf.ones([2, 2]))\n"
        "taken = socket.create_server(('127.0.0.1', 0))\n"
        "try:\n"
        "    tf.distribute.Server({'worker': [f'127.0.0.1:{taken.getsockname()[1]}']}, 'worker', 0)\n"
        "except tf.errors.UnknownError as error:\n"
        "    print('raised', file=sys.stderr)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GRPC_"))}
    quiet = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert quiet.stderr == "raised\n"
    loud = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"TF_CPP_MIN_LOG_LEVEL": "1"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "E0000 " in loud.stderr
    assert loud.stderr.endswith("raised\n")


def test_an_interactive_python_is_quiet_too():
    code = SILENCE + "import tensorflow as tf; tf.get_logger().warning('loud'); print('level', tf.get_logger().level)"
    result = subprocess.run([sys.executable, "-i", "-c", code], input=b"", capture_output=True, check=True)
    assert result.stdout == b"level 40\n"
    assert b"loud" not in result.stderr


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
