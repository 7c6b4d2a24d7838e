"""RetinaNet's anchors, in the layout of the Object Detection API's multiscale grid anchor generator.

Heads predict for anchors by position, so the order is a contract with every checkpoint: level by level from the finest,
in each level row by row, in each row cell by cell, in each cell aspect ratio by aspect ratio, for each of them scale by
scale. NumPy only: anchors are constants.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_LEVEL, MAX_LEVEL = 3, 7  # level l has a stride of 2^l px
ASPECT_RATIOS = (1.0, 2.0, 0.5)  # width over height
SCALES_PER_OCTAVE = 2  # anchors have 2^(0/2) and 2^(1/2) times the level's base size
ANCHOR_SCALE = 4.0  # the base size in strides: 32 px on level 3, 512 px on level 7


def level_sizes(
    height: int, width: int, *, min_level: int = MIN_LEVEL, max_level: int = MAX_LEVEL
) -> list[tuple[int, int]]:
    """Return (rows, columns) of each level of an image of height × width px, as SAME padding gives them."""
    return [(-(-height // 2**level), -(-width // 2**level)) for level in range(min_level, max_level + 1)]


def level_anchors(
    height: int,
    width: int,
    *,
    min_level: int = MIN_LEVEL,
    max_level: int = MAX_LEVEL,
    aspect_ratios: Sequence[float] = ASPECT_RATIOS,
    scales_per_octave: int = SCALES_PER_OCTAVE,
    anchor_scale: float = ANCHOR_SCALE,
) -> list[np.ndarray]:
    """Return the anchors of each level, float32 [rows · columns · a, 4] with a = aspect ratios × scales, in px.

    A cell's anchors lie on its center, stride / 2 from its corner. But where the image's side is no multiple of the
    level's stride, they lie on its corner: that is the API's rule, and about right, since SAME padding then reaches
    over the edge on both sides and the first cell looks at the edge. (320 px: so on level 7, which has 3 × 3 cells.)
    """
    scales = 2.0 ** (np.arange(scales_per_octave) / scales_per_octave)
    roots = np.sqrt(np.asarray(aspect_ratios, np.float64))[:, np.newaxis]
    shapes = np.stack([scales / roots, scales * roots], axis=-1).reshape(-1, 2)  # [a, 2] heights and widths
    found = []
    sizes = level_sizes(height, width, min_level=min_level, max_level=max_level)
    for level, (rows, columns) in enumerate(sizes, min_level):
        stride = 2**level
        y = np.arange(rows) * stride + (stride / 2 if height % stride == 0 else 0)
        x = np.arange(columns) * stride + (stride / 2 if width % stride == 0 else 0)
        centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, np.newaxis]  # [rows, columns, 1, 2]
        half = shapes * (stride * anchor_scale / 2)
        corners = np.concatenate([centers - half, centers + half], axis=-1)
        found.append(corners.reshape(-1, 4).astype(np.float32))
    return found


def anchors(height: int, width: int, **layout: object) -> np.ndarray:
    """Return the anchors of all levels, float32 [A, 4]; `layout` as in `level_anchors`. A = 51,150 at 640 × 640."""
    return np.concatenate(level_anchors(height, width, **layout))  # type: ignore[arg-type]
