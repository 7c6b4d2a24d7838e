"""Compare the inference of our lite detector with torchvision's RetinaNet on `mnasnet1_0` at the same cost.

    python benchmarks/detector_inference.py [--image-size 320] [--batch-size 8] [--classes 80] [--variant b1]
                                            [--peer-channels 24] [--rounds 5] [--compile] [--peer-python PYTHON]
                                            [--json FILE]

The time covers the way from images in memory to the final boxes, in float32 on all cores. The processes alternate. Both
detectors use the same settings: 1,000 candidates per level, a score threshold of 1e-8, an IoU threshold of 0.6, and 100
boxes per image. torchvision runs channels-last; `--peer-channels` sets the channels of its pyramid and heads. The
script counts the multiply-adds of both, and stops if they differ by more than 20 %. `--compile` measures
`torch.compile`, too; the faster one counts.
"""

from __future__ import annotations

import argparse
from typing import Any

import torchvision_detector as peer
from common import core_count, images_per_second, import_torch, use_toolkit

WARM_UP_CALLS = 5
SCORE, IOU, CANDIDATES, DETECTIONS = 1e-8, 0.6, 1000, 100  # the values of the lite recipe


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the net and the suppression as in an evaluation."""
    use_toolkit()
    import tensorflow as tf

    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.data.preprocessing import normalize
    from mnasnet_cli.modules.detector import make_detector
    from mnasnet_cli.modules.postprocessing import postprocessing_of, select_boxes

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
    """Measure torchvision's net: channels-last, all cores."""
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
