"""TensorFlow starts without Keras, and Keras can still be used afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

PROBE = """
import json, sys
from mnasnet_cli.system.tensorflow_notices import silence_tensorflow
silence_tensorflow()
import tensorflow as tf
at_start = sorted({name.partition(".")[0] for name in sys.modules} & {"keras", "tf_keras", "sklearn"})
from tensorflow.keras import layers
import keras
print(json.dumps([at_start, keras.layers.Dense is layers.Dense is tf.keras.layers.Dense]))
"""


def test_keras_waits_until_someone_imports_it():
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [[], True], result.stderr
