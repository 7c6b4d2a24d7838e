"""TensorFlow starts with oneDNN on any x86 processor and without Keras, and the user's own settings are kept."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

ONEDNN, LEVEL = "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"
START = "from mnasnet_cli.system.tensorflow_start import prepare_tensorflow; prepare_tensorflow()\n"
PROBE = """
import json, socket, sys
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port
at_start = sorted({name.partition(".")[0] for name in sys.modules} & {"keras", "tf_keras", "sklearn"})
from tensorflow.keras import layers
import keras
same_keras = keras.layers.Dense is layers.Dense is tf.keras.layers.Dense
taken = socket.create_server(("127.0.0.1", 0))
try:
    tf.distribute.Server({"worker": [f"127.0.0.1:{taken.getsockname()[1]}"]}, "worker", 0)
except tf.errors.UnknownError:
    print(json.dumps({"onednn": _pywrap_util_port.IsMklEnabled(), "at_start": at_start, "same_keras": same_keras}))
"""


@pytest.fixture(scope="module")
def started() -> tuple[dict[str, Any], str]:
    """What a TensorFlow says of itself that was started with a log level of the user, and its standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GRPC_"))}
    result = subprocess.run(
        [sys.executable, "-c", START + PROBE],
        env=environment | {LEVEL: "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(result.stdout), result.stderr


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is chosen on x86 only")
def test_onednn_is_chosen_also_where_tensorflow_would_not_choose_it(started):
    assert started[0]["onednn"] is True


def test_keras_waits_until_someone_imports_it(started):
    assert (started[0]["at_start"], started[0]["same_keras"]) == ([], True)


def test_the_users_log_level_is_kept(started):
    assert "E0000 " in started[1]  # gRPC, of the port that is taken


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is chosen on x86 only")
def test_the_package_chooses_it_for_a_script_that_imports_tensorflow_next():
    environment = {name: value for name, value in os.environ.items() if name != ONEDNN}
    code = f"import mnasnet_cli, os; print(os.environ[{ONEDNN!r}])"
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"


def test_the_users_own_choice_is_kept():
    code = START + f"import os; print(os.environ[{ONEDNN!r}])"
    environment = os.environ | {ONEDNN: "0"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "0\n"
