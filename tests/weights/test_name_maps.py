"""Layer names of other libraries, written out by hand."""

from __future__ import annotations

import numpy as np

from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.weights.name_maps import numbered_blocks, timm_rules, torchvision_rules, tpu_rules, tpu_tensors


def test_blocks_are_numbered_by_stage_and_repeat():
    blocks = [(stage, repeat) for stage, repeat, _ in numbered_blocks(get_spec("b1", 1.0))]
    assert blocks[:5] == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert len(blocks) == 17


def test_names_of_some_layers():
    theirs = [
        {rule.ours: rule.theirs for rule in rules(get_spec("b1", 1.0), 1000)}
        for rules in (torchvision_rules, timm_rules, tpu_rules)
    ]
    for ours, expected in {
        "Mnasnet/Conv/weights": ("layers.0.weight", "conv_stem.weight", "mnas_stem/conv2d/kernel"),
        "Mnasnet/Conv/BatchNorm/moving_mean": (
            "layers.1.running_mean", "bn1.running_mean", "mnas_stem/batch_normalization/moving_mean",
        ),
        "Mnasnet/Conv2d_1c_1x1/biases": ("classifier.1.bias", "classifier.bias", "mnas_head/dense/bias"),
    }.items():  # fmt: skip
        assert tuple(names[ours] for names in theirs) == expected


def test_tpu_names_do_not_depend_on_the_tensorflow_release():
    """TensorFlow 1.12 counts Keras layers within a scope; 1.15 counts through the program, below the model's name."""
    stored = [
        ("net/mnas_blocks_3/conv2d/kernel", "net/mnas_net_model/mnas_blocks_3/conv2d_9/kernel"),
        ("net/mnas_blocks_3/conv2d_1/kernel", "net/mnas_net_model/mnas_blocks_3/conv2d_12/kernel"),
        ("net/mnas_blocks_3/se/conv2d/bias", "net/mnas_net_model/mnas_blocks_3/se/conv2d_10/bias"),
        ("net/mnas_blocks_3/se/conv2d_1/bias", "net/mnas_net_model/mnas_blocks_3/se/conv2d_11/bias"),
        (
            "net/mnas_blocks_3/tpu_batch_normalization_1/gamma",
            "net/mnas_blocks_3/batch_normalization_1/gamma",
        ),
        ("net/mnas_blocks_3/tpu_batch_normalization/gamma", "net/mnas_blocks_3/batch_normalization/gamma"),
    ]
    older, newer = (
        tpu_tensors({names[release]: np.array(number) for number, names in enumerate(stored)}) for release in (0, 1)
    )
    assert older == newer
    assert older["mnas_blocks_3/conv2d_1/kernel"] == 1
    assert older["mnas_blocks_3/se/conv2d/bias"] == 2


def test_names_that_are_not_layers_are_kept():
    assert set(tpu_tensors({"global_step": np.array(1), "net/other/kernel": np.array(2)})) == {
        "global_step",
        "net/other/kernel",
    }
