"""The rows of the registry are complete, and agree with the published accuracies of the nets."""

from __future__ import annotations

import re

import pytest

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.nets.spec import NETS, PUBLISHED
from mnasnet_cli.weights.registry import WEIGHTS, PublishedWeights, find_weights, known_sha256


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda weights: weights.name)
def test_rows(weights: PublishedWeights) -> None:
    assert weights.variant in NETS
    assert (weights.top1 is None) != (weights.average_precision is None)
    for value in (weights.top1, weights.top5, weights.average_precision):
        assert value is None or 0.0 < value < 1.0
    assert weights.top5 is None or weights.top5 > weights.top1
    for file in (weights.file, *weights.others):
        assert re.fullmatch(r"https://[\w./?=-]+", file.url)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{8,10}|[0-9a-f]{64}", file.sha256)
        assert file.url.endswith(".pth") <= (file.sha256 is not None)  # PyTorch file names include it
        assert known_sha256(file.url) == file.sha256


def test_names_and_urls_are_unique() -> None:
    assert len({weights.name for weights in WEIGHTS}) == len(WEIGHTS)
    urls = [file.url for weights in WEIGHTS for file in (weights.file, *weights.others)]
    assert len(set(urls)) == len(urls)


def test_published_accuracies_have_their_weights() -> None:
    """Only the b1 of the paper has a published accuracy and no published weights."""
    listed = {(w.variant, w.width, w.image_size, w.top1, w.top5) for w in WEIGHTS}
    rows = [row for row in PUBLISHED if "quoted" not in row.source]
    assert len(rows) == len(PUBLISHED) - 1
    assert [row for row in rows if (row.net, row.width, row.image_size, row.top1, row.top5) not in listed] == []


def test_find_weights() -> None:
    assert find_weights("torchvision/mnasnet1_0").width == 1.0
    with pytest.raises(ConfigError, match=r"'torchvision/mnasnet1'.*did you mean"):
        find_weights("torchvision/mnasnet1")
    assert known_sha256("https://example.org/net.pth") is None
