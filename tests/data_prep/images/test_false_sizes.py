"""JPEGs whose header claims more pixels than their data hold."""

from __future__ import annotations

import pytest
from picture_cases import encoded, photograph

from data_prep.images.prepared_image import prepare_image
from mnasnet_cli.records.image_files.header import BadImage

JPEG = encoded(photograph(64, 48), "JPEG", quality=85)


@pytest.mark.parametrize("sides", [(56_540, 64), (48, 56_540), (2_000, 2_000)])
def test_a_jpeg_that_claims_more_than_it_holds_is_bad(sides: tuple[int, int]) -> None:
    place = JPEG.index(b"\xff\xc0") + 5
    claimed = b"".join(side.to_bytes(2, "big") for side in sides)
    with pytest.raises(BadImage, match="premature end"):
        prepare_image(JPEG[:place] + claimed + JPEG[place + 4 :])


def test_a_jpeg_of_one_colour_is_good() -> None:
    from PIL import Image

    white = encoded(Image.new("RGB", (800, 600), "white"), "JPEG", quality=50)
    assert prepare_image(white).data == white
