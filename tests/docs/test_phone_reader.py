"""The Python lines for phones and small boards: their preprocessing is that of prediction."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data.preprocessing import preprocess_bytes


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("fraction", "stretch"), [(0.875, False), (0.75, True), (None, False)])
def test_a_reader_of_the_manifest_gets_the_nets_input(repo, antialias, fraction, stretch):
    text = (repo / "docs/how-to/phones.md").read_text()
    functions = re.search(r"^def net_input.*?(?=^folder = )", text, re.MULTILINE | re.DOTALL)
    names = {"np": np, "Image": Image}
    exec(functions[0], names)
    pixels = np.random.default_rng(0).integers(0, 256, [91, 70, 3], dtype=np.uint8)
    options = Preprocessing(image_size=32, crop_fraction=fraction, antialias=antialias, stretch=stretch)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    expected = preprocess_bytes(png.getvalue(), options).numpy()
    found = names["net_input"](Image.fromarray(pixels), options.to_dict())
    np.testing.assert_allclose(found, expected, atol=1e-3)
