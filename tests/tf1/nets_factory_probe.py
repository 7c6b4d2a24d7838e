"""What ``check_nets_factory.py`` runs under Python 3.7 and TensorFlow 1.15. Usage: registered | copied.

"registered": slim/ and our checkout are on the path, and ``register()`` adds the nets. "copied": slim/ alone is on the
path, with our folder in it as nets/mnasnet_nets. Fails with an AssertionError; prints a line for each thing that held.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_slim as slim
from nets import nets_factory as factory

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
GOLDEN = Path(__file__).parents[1] / "golden" / "variables.json"
SIZE, BATCH, STEPS = 96, 8, 12


def registers() -> None:
    """One call adds every net, its own names beside slim's; a second one changes nothing."""
    from mnasnet_cli.integrations import nets_factory

    before = set(factory.networks_map)
    names = nets_factory.register()
    assert set(factory.networks_map) == before | set(names) == set(factory.arg_scopes_map)
    assert nets_factory.register() == names
    assert {"mnasnet_a1", "mnasnet_b1", "mnasnet_small", "mnasnet_b1_050", "mnasnet_b1_2019"} <= set(names)
    print(f"register(): {len(names)} nets in slim's nets_factory")


def is_copied() -> None:
    """The nets of nets/mnasnet_nets are in the maps, and nothing else of ours can be imported."""
    from nets.mnasnet_nets import mnasnet

    for package in ("mnasnet_cli", "data_prep"):
        assert importlib.util.find_spec(package) is None, package
    assert mnasnet.networks_map.items() <= factory.networks_map.items()
    assert set(factory.networks_map) == set(factory.arg_scopes_map)
    assert factory.networks_map["mnasnet_b1"].__module__ == "nets.mnasnet_nets.mnasnet"
    print(f"nets/mnasnet_nets: {len(mnasnet.networks_map)} nets in slim's nets_factory, no mnasnet_cli on the path")


def trains() -> None:
    """A training step through ``get_network_fn`` and slim's own train op lowers the loss on a batch."""
    network = factory.get_network_fn("mnasnet_b1", 1001, weight_decay=1e-5, is_training=True)
    assert network.default_image_size == 224
    random = np.random.RandomState(0)
    with tf.Graph().as_default():
        tf1.set_random_seed(0)
        images = tf.constant(random.uniform(-1, 1, [BATCH, SIZE, SIZE, 3]), tf.float32)
        labels = tf.constant(random.randint(1, 1001, [BATCH]))
        logits, end_points = network(images)
        assert logits.shape.as_list() == [BATCH, 1001], logits
        assert {"layer_1", "layer_19", "global_pool", "Logits", "Predictions"} <= set(end_points)
        loss = tf1.losses.sparse_softmax_cross_entropy(labels, logits)
        decayed = tf1.losses.get_regularization_losses()
        assert len(decayed) == 54, len(decayed)  # 53 kernels and the logits' biases
        train = slim.learning.create_train_op(tf1.losses.get_total_loss(), tf1.train.MomentumOptimizer(0.02, 0.9))
        moving = next(v for v in tf1.global_variables() if v.op.name == "Mnasnet/Conv/BatchNorm/moving_variance")
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            losses = []
            for _ in range(STEPS):
                losses.append(float(session.run([loss, train])[0]))
            assert losses[-1] < 0.7 * losses[0], losses
            assert abs(session.run(moving) - 1).max() > 1e-3, "the moving statistics did not move"
    print(f"training: loss {losses[0]:.3f} -> {losses[-1]:.3f} in {STEPS} steps of batch {BATCH}")


def evaluates() -> None:
    """``is_training=False`` is deterministic and reuses the weights; ``num_classes=None`` gives the features."""
    with tf.Graph().as_default():
        images = tf1.placeholder(tf.float32, [None, None, None, 3])
        training = factory.get_network_fn("mnasnet_b1", 1001, is_training=True)
        inference = factory.get_network_fn("mnasnet_b1", 1001, is_training=False)
        features = factory.get_network_fn("mnasnet_b1", None, is_training=False)
        training(images)
        variables, updates = len(tf1.global_variables()), len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        logits, _ = inference(images, reuse=True)
        pooled, end_points = features(images, reuse=True)
        assert variables == len(tf1.global_variables())
        assert updates == 2 * 52 == len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        assert "Logits" not in end_points
        feed = {images: np.random.RandomState(1).uniform(-1, 1, [2, SIZE, SIZE, 3])}
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            first, second, vector = session.run([logits, logits, pooled], feed)
            again = session.run(logits, feed)
        assert (first.shape, vector.shape) == ((2, 1001), (2, 1, 1, 1280))
        assert np.isfinite(first).all()
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, again)
    print("inference: deterministic, weights reused; num_classes=None gives [N, 1, 1, 1280]")


def builds_all(package: str) -> None:
    """Every net has the variables that tests/golden pins, and the trainable parameters of its table."""
    mnasnet: Any = importlib.import_module(f"{package}.mnasnet")
    table: Any = importlib.import_module(f"{package}.spec")
    golden = json.loads(GOLDEN.read_text())
    for name, spec in table.NETS.items():
        with tf.Graph().as_default():
            mnasnet.mnasnet_base(tf1.placeholder(tf.float32, [1, 64, 64, 3]), spec, num_classes=1001)
            built = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
            trainable = sum(int(np.prod(variable.shape)) for variable in tf1.trainable_variables())
        assert built == golden[name], sorted(set(built) ^ set(golden[name]))
        assert trainable == table.count_parameters(spec, 1001)
    print(f"all nets: variables as pinned in {GOLDEN.name}")


def main(how: str) -> None:
    print(f"Python {platform.python_version()}, TensorFlow {tf.__version__}")
    {"registered": registers, "copied": is_copied}[how]()
    trains()
    evaluates()
    builds_all({"registered": "mnasnet_cli.nets", "copied": "nets.mnasnet_nets"}[how])
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
