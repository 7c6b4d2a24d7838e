"""What a training says about itself."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.training.reporting import describe_devices, describe_recipe, epoch_line


def test_the_line_of_a_detectors_epoch_fits_80_columns():
    sizes = {"AP_small": 0.112, "AP_medium": 0.134, "AP_large": 0.2}
    numbers = {"AP": 0.1234, "AP50": 0.251, "AP75": 0.102, **sizes, "AR1": 0.5, "loss": 0.51234}
    line = epoch_line(300, 300, numbers, 12 * 3600 + 7 * 60)
    assert line == "epoch 300/300 AP 12.3 AP50 25.1 AP75 10.2 S/M/L 11.2/13.4/20.0 loss 0.512 12h07m"
    assert len(line) <= 80


def test_a_number_that_coco_leaves_undefined_is_not_0():
    assert "S/M/L n/a/n/a/20.0" in epoch_line(1, 2, {"AP": 0.1, "AP50": 0.2, "AP75": 0.1, "AP_large": 0.2}, 5)


def test_the_line_of_a_classifiers_epoch():
    assert epoch_line(1, 2, {"top1": 0.826, "top5": 1.0, "loss": 0.7}, 185) == (
        "epoch 1/2 top1 82.6 % top5 100.0 % loss 0.7 3m05s"
    )
    assert epoch_line(1, 2, {"training loss": 2.345}, 5) == "epoch 1/2 training loss 2.35 5.0s"


def test_the_recipe_is_named_with_its_changes():
    changed = ["data.class_weights=balanced"]
    assert describe_recipe(load_config("quick", task="classification")) == "quick"
    assert describe_recipe(load_config("quick", task="classification", assignments=changed)) == (
        "quick with data.class_weights=balanced"
    )
    many = ["optimizer.momentum=0.8", "training.ema_decay=0.9", "training.label_smoothing=0.0", *changed]
    assert describe_recipe(load_config("quick", task="classification", assignments=many)) == (
        "quick with 4 other settings"
    )


def test_the_devices_of_a_machine_without_accelerators():
    if not tf.config.list_physical_devices("GPU"):
        assert describe_devices(tf.distribute.get_strategy()).startswith("CPU, ")
