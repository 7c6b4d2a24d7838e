"""TensorFlow starts with oneDNN on any x86 processor, unless the user says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
START = "from mnasnet_cli.system.tensorflow_start import prepare_tensorflow; prepare_tensorflow()\n"
ASK = "from tensorflow.python.util import _pywrap_util_port; print(_pywrap_util_port.IsMklEnabled())"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is chosen on x86 only")
def test_onednn_is_chosen_also_where_tensorflow_would_not_choose_it():
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    result = subprocess.run(
        [sys.executable, "-c", START + ASK], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "True\n"


def test_the_users_own_choice_is_kept():
    code = START + f"import os; print(os.environ[{VARIABLE!r}])"
    environment = os.environ | {VARIABLE: "0"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "0\n"
