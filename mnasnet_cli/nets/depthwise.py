"""Depthwise convolution whose gradients are fast on a CPU.

oneDNN has a fast filter gradient only for filters up to 3 wide: that of a 5x5 filter takes 4 to 8 times as long as
its forward pass. Here the filter gradient of a wider filter is a forward depthwise convolution that uses the gradient
of the output as its filter. The input gradient at stride 1 is a forward convolution with the reversed filter. Both
compute the same sums in another order.

In bfloat16, oneDNN's own gradients take up to 60 times as long as its forward pass. All but the input gradient at
stride 1 are computed in float32 there.
"""

from __future__ import annotations

from typing import Any

from .slim_compat import tf, tf1

# Images per convolution of the filter gradient. With fewer, the calls cost time; with more, the data does not fit the
# cache. Measured on 2 cores with 5x5 layers of b1 at 224 px (batch 32) and 128 px (batch 64).
_IMAGES_PER_CHUNK = 8
# More chunks make the graph larger without being faster.
_MAX_CHUNKS = 8
# The widest filter for whose gradient oneDNN has a fast kernel.
_WIDEST_FAST_FILTER = 3


def depthwise_conv2d(x: Any, kernel: Any, stride: int, padding: str, rate: int = 1) -> Any:
    """Convolves each channel with its own filter, as ``tf.nn.depthwise_conv2d`` does up to float rounding.

    Args:
      x: [N, H, W, C] float tensor.
      kernel: [k, k, C, 1] tensor or variable of the same type.
      stride: step in both directions, in pixels.
      padding: "SAME" or "VALID".
      rate: distance of the filter's taps, in pixels; above 1 only with stride 1.

    Returns:
      [N, H', W', C] tensor.
    """
    kernel = tf.convert_to_tensor(kernel)
    if rate != 1 or not _has_fast_gradient(x, kernel, stride):
        return _plain(x, kernel, stride, padding, rate)

    @tf.custom_gradient
    def convolve(images: Any, weights: Any) -> Any:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            return (
                _input_gradient(images, weights, upstream, stride, padding),
                tf.cast(_filter_gradient(images, weights, upstream, stride, padding), weights.dtype),
            )

        return _plain(images, weights, stride, padding), gradient

    return convolve(x, kernel)


def _plain(x: Any, kernel: Any, stride: int, padding: str, rate: int = 1) -> Any:
    """TensorFlow's own depthwise convolution, with arguments that both 1.15 and 2 accept."""
    return tf1.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding, rate=[rate, rate])


def _has_fast_gradient(x: Any, kernel: Any, stride: int) -> bool:
    """Whether the gradients below apply and are faster: float32 or bfloat16 of known shape on a CPU with oneDNN."""
    shapes_known = x.shape.is_fully_defined() and kernel.shape.is_fully_defined()
    if not shapes_known or x.dtype != kernel.dtype or x.dtype not in (tf.float32, tf.bfloat16):
        return False
    height, width, _, multiplier = kernel.shape.as_list()
    if multiplier != 1 or height < stride or width < stride or 0 in x.shape.as_list():
        return False
    return _runs_on_onednn()


def _runs_on_onednn() -> bool:
    """Whether this process computes with TensorFlow 2 on a CPU through oneDNN."""
    if int(tf.__version__.split(".")[0]) < 2 or "TPU" in type(tf.distribute.get_strategy()).__name__:
        return False
    try:  # as TensorFlow's own tests do; there is no public function
        from tensorflow.python.util import _pywrap_util_port as util_port

        enabled = bool(util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return False
    return enabled and not tf.config.list_physical_devices("GPU")


def _input_gradient(x: Any, kernel: Any, upstream: Any, stride: int, padding: str) -> Any:
    """Gradient of the convolution by its input, [N, H, W, C]."""
    height, width = kernel.shape.as_list()[:2]
    if stride == 1 and padding == "SAME" and height % 2 == 1 and width % 2 == 1:
        return _plain(upstream, tf.reverse(kernel, [0, 1]), 1, "SAME")
    gradient = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=x.shape,
        filter=tf.cast(kernel, tf.float32),
        out_backprop=tf.cast(upstream, tf.float32),
        strides=[1, stride, stride, 1],
        padding=padding,
    )
    return tf.cast(gradient, x.dtype)


def _filter_gradient(x: Any, kernel: Any, upstream: Any, stride: int, padding: str) -> Any:
    """Gradient of the convolution by its filter, [k, k, C, 1] float32."""
    x, upstream = tf.cast(x, tf.float32), tf.cast(upstream, tf.float32)
    if kernel.shape.as_list()[1] <= _WIDEST_FAST_FILTER:
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, stride, stride, 1],
            padding=padding,
        )
    sizes = _chunk_sizes(x.shape.as_list()[0])
    shape = kernel.shape.as_list()
    chunks = zip(tf.split(x, sizes), tf.split(upstream, sizes))
    return tf.add_n([_correlate(images, part, shape, stride, padding) for images, part in chunks])


def _chunk_sizes(images: int) -> list[int]:
    """Splits a batch into chunks of about equal size, larger ones first."""
    chunks = min(-(-images // _IMAGES_PER_CHUNK), _MAX_CHUNKS)
    return [images // chunks + (index < images % chunks) for index in range(chunks)]


def _correlate(x: Any, upstream: Any, kernel_shape: list[int], stride: int, padding: str) -> Any:
    """Filter gradient of these images, [k, k, C, 1]: entry (a, b, c) is the sum over n, i and j of

    x[n, stride*i + a - top, stride*j + b - left, c] * upstream[n, i, j, c]

    This is a depthwise convolution of x with ``upstream`` as its filter, dilated by ``stride``. The images are stacked
    into one tall image, so that one call sums over all of them. Rows of zeros between them make the products of one
    image's gradient with another image's pixels zero.
    """
    images, height, width, channels = x.shape.as_list()
    out_height, out_width = upstream.shape.as_list()[1:3]
    k_height, k_width = kernel_shape[:2]
    top = _pad_before(height, k_height, stride, padding)
    left = _pad_before(width, k_width, stride, padding)

    # The taps of an image must end above the next image and start below the pixels of the previous one.
    pitch = max(height + top, (out_height - 1) * stride + k_height - top)
    pitch += -pitch % stride
    tall_x = _stack(x, pitch)
    tall_upstream = _stack(upstream, pitch // stride)
    tall_upstream = tf.reshape(tall_upstream, [images * pitch // stride, out_width, channels, 1])

    right = (out_width - 1) * stride + k_width - width - left
    if right < 0:  # no output reads the last columns
        tall_x, right = tall_x[:, :, :right], 0
    total = tf.raw_ops.DepthwiseConv2dNative(
        input=tall_x,
        filter=tall_upstream,
        strides=[1, 1, 1, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, top, k_height - stride - top, left, right, 0, 0],
        dilations=[1, stride, stride, 1],
    )
    return tf.reshape(total, kernel_shape)


def _stack(images: Any, pitch: int) -> Any:
    """Puts [N, H, W, C] images below each other, `pitch` rows apart: [1, N*pitch, W, C]."""
    count, height, width, channels = images.shape.as_list()
    padded = tf.pad(images, [[0, 0], [0, pitch - height], [0, 0], [0, 0]])
    return tf.reshape(padded, [1, count * pitch, width, channels])


def _pad_before(size: int, kernel: int, stride: int, padding: str) -> int:
    """The number of rows (or columns) of zeros that TensorFlow pads before an image."""
    if padding == "VALID":
        return 0
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + kernel - size, 0) // 2
