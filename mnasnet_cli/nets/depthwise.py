"""Depthwise convolution."""

from __future__ import annotations

from typing import Any

from mnasnet_cli.nets.slim_compat import tf1


def depthwise_conv2d(x: Any, kernel: Any, stride: int, padding: str, rate: int = 1) -> Any:
    """Convolves every channel of x [N, H, W, C] with its own kernel [k, k, C, 1]; returns [N, H', W', C]."""
    return tf1.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding, rate=[rate, rate])
