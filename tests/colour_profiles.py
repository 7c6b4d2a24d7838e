"""ICC profiles for tests."""

from __future__ import annotations

import struct

from PIL import ImageCms


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with red and green exchanged: an image with it looks as if these channels were exchanged."""
    profile = srgb_profile()
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {profile[at : at + 4]: at for at in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(swapped)


def gray_profile(gamma: float) -> bytes:
    """Gray with a power function (ICC.1:2001-04, 6.3.1.1 and 6.5.3)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)  # D50
    tags = ((b"kTRC", curve), (b"wtpt", white))
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags:
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ", bytes(12), b"acsp")
    header += bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body
