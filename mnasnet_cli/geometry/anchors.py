"""RetinaNet anchors, in the layout of the Object Detection API's multiscale grid anchor generator (NumPy only).

Every checkpoint depends on the order of the anchors: by level (finest first), row, column, aspect ratio, scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_LEVEL, MAX_LEVEL = 3, 7  # level l has a stride of 2^l px
ASPECT_RATIOS = (1.0, 2.0, 0.5)  # width over height
SCALES_PER_OCTAVE = 2  # anchor sizes are 2^(0/2) and 2^(1/2) times the base size of the level
ANCHOR_SCALE = 4.0  # base size in strides: 32 px on level 3, 512 px on level 7


def level_sizes(
    height: int, width: int, *, min_level: int = MIN_LEVEL, max_level: int = MAX_LEVEL
) -> list[tuple[int, int]]:
    """Return (rows, columns) of each level for an image of height × width px, with SAME padding."""
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
    """Return the anchors of each level, float32 [rows · columns · a, 4] in px; a = aspect ratios × scales.

    Anchors are centered on their cell, stride / 2 from its corner. If the image side is not a multiple of the stride,
    they are centered on the corner, as in the API: SAME padding then pads both sides, so that the first cell is
    centered near the edge of the image. Example: level 7 at 320 px, with 3 × 3 cells.
    """
    scales = 2.0 ** (np.arange(scales_per_octave) / scales_per_octave)
    roots = np.sqrt(np.asarray(aspect_ratios, np.float64))[:, np.newaxis]
    shapes = np.stack([scales / roots, scales * roots], axis=-1).reshape(-1, 2)  # [a, 2] heights and widths
    levels = []
    sizes = level_sizes(height, width, min_level=min_level, max_level=max_level)
    for level, (rows, columns) in enumerate(sizes, min_level):
        stride = 2**level
        y = np.arange(rows) * stride + (stride / 2 if height % stride == 0 else 0)
        x = np.arange(columns) * stride + (stride / 2 if width % stride == 0 else 0)
        centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, np.newaxis]  # [rows, columns, 1, 2]
        half = shapes * (stride * anchor_scale / 2)
        corners = np.concatenate([centers - half, centers + half], axis=-1)
        levels.append(corners.reshape(-1, 4).astype(np.float32))
    return levels


def anchors(height: int, width: int, **layout: object) -> np.ndarray:
    """Return the anchors of all levels, float32 [A, 4]; `layout` as in `level_anchors`. A is 51,150 at 640 × 640 px."""
    return np.concatenate(level_anchors(height, width, **layout))  # type: ignore[arg-type]
