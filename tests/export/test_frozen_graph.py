"""Frozen graphs as TensorFlow 1 programs read them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.data.preprocessing import preprocess_uint8
from mnasnet_cli.export.frozen_graph import IMAGE_INPUTS, run_frozen_graph, write_frozen_graph
from mnasnet_cli.inference.checkpoint import CheckpointRunner
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS


def _definition(path):
    return tf.compat.v1.GraphDef.FromString(path.read_bytes())


def test_a_frozen_graph_has_only_what_old_releases_know(exported_classifier):
    definition = _definition(exported_classifier / "frozen" / "model.pb")
    operations = {node.op for node in definition.node}
    assert "BiasAdd" in operations
    assert not operations & {"FusedBatchNormV3", "IdentityN", "VarHandleOp", "StatefulPartitionedCall", "If", "While"}
    assert not definition.library.function
    assert not [name for node in definition.node for name in node.attr if name.startswith("_")]
    convolution = next(node for node in definition.node if node.op == "DepthwiseConv2dNative")
    assert "explicit_paddings" not in convolution.attr  # newer than 1.15, and at its default
    assert {"images", "tensors", "logits", "probabilities"} <= {node.name for node in definition.node}


def test_the_bytes_of_a_frozen_graph_do_not_depend_on_the_process(exported_classifier):
    path = exported_classifier / "frozen" / "model.pb"
    assert path.read_bytes() == _definition(path).SerializeToString(deterministic=True)  # of maps: sorted by key


def test_a_detector_has_the_names_and_types_of_the_object_detection_api(exported_detector):
    nodes = {node.name: node for node in _definition(exported_detector / "frozen" / "model.pb").node}
    assert nodes["image_tensor"].attr["dtype"].type == tf.uint8.as_datatype_enum
    for name in DETECTOR_OUTPUTS:
        assert nodes[name].attr["T"].type == tf.float32.as_datatype_enum, name


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_pixels_of_any_size_give_the_checkpoint_s_outputs(request, kind, tmp_path):
    prefix = find_checkpoint(str(request.getfixturevalue(f"made_{kind}")))
    loaded = load_model(prefix)
    artifact = write_frozen_graph(loaded, tmp_path)
    image_input = IMAGE_INPUTS[loaded.task]
    assert artifact.signature["inputs"] == {image_input: {"dtype": "uint8", "shape": [None, None, None, 3]}}
    names = ["logits"] if kind == "classifier" else ["detection_boxes", "detection_scores"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 90, 3), np.uint8)
    outputs = run_frozen_graph(artifact.path, image_input, pixels, names)
    tensors = preprocess_uint8(tf.constant(pixels), loaded.preprocessing).numpy()
    expected = CheckpointRunner(prefix).predict_tensors(tensors)
    for name in names:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, err_msg=name)
