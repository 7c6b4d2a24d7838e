"""The table of a net of one's own, as a file: small, with all that a table has."""

from __future__ import annotations

TABLE = """name: my-net
stem: 8
stages:
  - {repeats: 1, kernel: 3, stride: 1, expand: 1, channels: 8, skip: false}
  - {repeats: 2, kernel: 5, stride: 2, expand: 3, channels: 16, squeeze: 0.25}
head: 64
dialect: {activation: relu6, batch_norm_epsilon: 1e-5}
"""
