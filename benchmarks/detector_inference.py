"""Time our lite detector with suppression beside torchvision's RetinaNet on `mnasnet1_0` with heads as cheap as ours.

    python benchmarks/detector_inference.py [--image-size 320] [--batch-size 8] [--classes 80] [--variant b1]
                                            [--peer-channels 24] [--rounds 5] [--compile] [--peer-python PYTHON]
                                            [--json FILE]

From images in memory to the final boxes, in float32 on every core, in processes of their own that take turns. Both
sides look at the same number of candidates, with the same thresholds: 1,000 a level, no score too low, an overlap of
0.6, 100 boxes an image. torchvision runs channels-last; `--peer-channels` narrows its pyramid and heads, and the script
counts the multiply-adds of both and stops where they are more than 20 % apart. With `--compile` its net also goes
through `torch.compile`; the faster one counts.
"""

from __future__ import annotations

import argparse
from typing import Any

import detector_peer as peer
from common import core_count, images_per_second, import_torch, use_toolkit

WARM_UP_CALLS = 5
SCORE, IOU, CANDIDATES, DETECTIONS = 1e-8, 0.6, 1000, 100  # the lite recipe's own


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the net and the suppression as evaluation runs them."""
    use_toolkit()
    import tensorflow as tf

    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.data.preprocessing import normalize
    from mnasnet_cli.models.detector import make_detector
    from mnasnet_cli.models.postprocessing import postprocessing_of, select_boxes

    size, batch_size = arguments.image_size, arguments.batch_size
    flags = {
        "model.variant": arguments.variant,
        "data.image_size": size,
        "detection.score_threshold": SCORE,
        "detection.nms_iou": IOU,
        "detection.candidates": CANDIDATES,
        "detection.max_detections": DETECTIONS,
    }
    config = load_config("lite", task="detection", flags=flags)
    assert config.detection is not None
    options = postprocessing_of(config.detection, range(1, arguments.classes + 1))
    model = make_detector(config, arguments.classes)
    images = tf.random.uniform([batch_size, size, size, 3], maxval=255.0)

    @tf.function(autograph=False)
    def detect(images: tf.Tensor) -> Any:
        heads = model(normalize(images, config.preprocessing), is_training=False)
        return select_boxes(heads.class_logits, heads.box_deltas, size, options)

    rate = images_per_second(
        lambda: detect(images)["num_detections"].numpy(), batch_size, WARM_UP_CALLS, arguments.seconds
    )
    return {"images_per_second": rate, "versions": f"tensorflow {tf.__version__}"}


def torchvision_boxes(arguments: argparse.Namespace, *, compiled: bool) -> dict[str, Any]:
    """Measure torchvision's net: channels-last, every core."""
    torch, torchvision = import_torch("torch", "torchvision")
    torch.set_num_threads(core_count())
    size, batch_size = arguments.image_size, arguments.batch_size
    net = peer.torchvision_detector(
        arguments,
        score_thresh=SCORE,
        nms_thresh=IOU,
        topk_candidates=CANDIDATES,
        detections_per_img=DETECTIONS,
    ).eval()
    if compiled:
        net.backbone, net.head = torch.compile(net.backbone), torch.compile(net.head)
    images = list(torch.rand(batch_size, 3, size, size))
    with torch.inference_mode():
        rate = images_per_second(lambda: net(images), batch_size, WARM_UP_CALLS, arguments.seconds)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return {"images_per_second": rate, "versions": versions}


WORKERS = {
    "ours": ours,
    "eager": lambda arguments: torchvision_boxes(arguments, compiled=False),
    "compiled": lambda arguments: torchvision_boxes(arguments, compiled=True),
}

if __name__ == "__main__":
    peer.compare("Detection with suppression", __doc__ or "", 8, WORKERS)
