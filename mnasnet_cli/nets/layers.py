"""The two convolutions of a MnasNet as TF-Slim layers, their initializers and padding.

They use the arg scopes of ``slim.conv2d`` and ``slim.separable_conv2d`` and create the same variables, but they call
``get_variable`` themselves. Slim's own layers use a class that does not pass regularizers on, so that a custom getter
(``SlimModule``) could not tell which weights decay. Variables are always float32; they are cast for bfloat16 inputs.
"""

from __future__ import annotations

from typing import Any, Callable

from .depthwise import depthwise_conv2d
from .slim_compat import scoped_arguments, slim, slim_utils, tf, tf1


def conv_initializer() -> Any:
    """Normal with deviation sqrt(2 / (k·k·C_out)), not truncated; a depthwise kernel has C_out = 1.

    As ``conv_kernel_initializer`` in the TPU code, which trained the paper's accuracies.
    """
    return tf1.variance_scaling_initializer(2.0, mode="fan_out", distribution="untruncated_normal")


def logits_initializer() -> Any:
    """Uniform in ±1 / sqrt(classes), as ``dense_kernel_initializer`` in the TPU code."""
    return tf1.variance_scaling_initializer(1.0 / 3.0, mode="fan_out", distribution="uniform")


def pad_symmetric(x: Any, kernel: int, rate: int = 1) -> Any:
    """Pads rate·(kernel - 1) zeros in H and W, half on either side, for a convolution with VALID padding.

    The output has the size of SAME. Its values are also those of SAME, except for a stride of 2 and an even size: then
    SAME puts the odd zero at the end, while this function pads both sides equally.
    """
    beside = rate * (kernel - 1) // 2
    return tf.pad(x, [[0, 0], [beside, beside], [beside, beside], [0, 0]])


def _variable(name: str, shape: list[int], like: Any, options: dict[str, Any]) -> Any:
    """Creates or reuses a model variable in the current scope; returns it in the dtype of ``like``."""
    kind = "biases" if name == "biases" else "weights"
    default = tf1.zeros_initializer() if kind == "biases" else slim.xavier_initializer()
    variable = slim.model_variable(
        name,
        shape=shape,
        dtype=tf.float32,
        initializer=options.get(f"{kind}_initializer") or default,
        regularizer=options.get(f"{kind}_regularizer"),
        trainable=options.get("trainable", True),
        collections=slim_utils.get_variable_collections(options.get("variables_collections"), kind),
    )
    return variable if like.dtype.base_dtype == tf.float32 else tf.cast(variable, like.dtype)


def _finish(net: Any, activation_fn: Any, normalizer_fn: Any, options: dict[str, Any], name: str) -> Any:
    if normalizer_fn is not None:
        net = normalizer_fn(net, **(options.get("normalizer_params") or {}))
    if activation_fn is not None:
        net = activation_fn(net)
    return slim_utils.collect_named_outputs(options.get("outputs_collections"), name, net)


def conv2d(
    inputs: Any,
    num_outputs: int,
    kernel_size: int,
    scope: str,
    stride: int = 1,
    padding: str = "SAME",
    activation_fn: Callable[[Any], Any] | None = None,
    normalizer_fn: Callable[..., Any] | None = None,
    **options: Any,
) -> Any:
    """``slim.conv2d``: [N, H, W, C] to [N, H', W', num_outputs], with a bias if there is no normalizer.

    ``options`` (initializers, regularizers, normalizer_params …) override those of slim's arg scope.
    """
    options = {**scoped_arguments(slim.conv2d), **options}
    with tf1.variable_scope(scope) as variable_scope:
        shape = [kernel_size, kernel_size, int(inputs.shape[-1]), num_outputs]
        kernel = _variable("weights", shape, inputs, options)
        net = tf1.nn.conv2d(inputs, kernel, strides=[1, stride, stride, 1], padding=padding)
        if normalizer_fn is None:
            net = tf.nn.bias_add(net, _variable("biases", [num_outputs], inputs, options))
        return _finish(net, activation_fn, normalizer_fn, options, variable_scope.name)


def depthwise(
    inputs: Any,
    kernel_size: int,
    scope: str,
    stride: int = 1,
    rate: int = 1,
    padding: str = "SAME",
    activation_fn: Callable[[Any], Any] | None = None,
    normalizer_fn: Callable[..., Any] | None = None,
    **options: Any,
) -> Any:
    """``slim.separable_conv2d(num_outputs=None)``, without bias and with a faster gradient.

    [N, H, W, C] to [N, H', W', C]; its variable is ``depthwise_weights`` [k, k, C, 1].
    """
    options = {**scoped_arguments(slim.separable_conv2d), **options}
    with tf1.variable_scope(scope) as variable_scope:
        shape = [kernel_size, kernel_size, int(inputs.shape[-1]), 1]
        kernel = _variable("depthwise_weights", shape, inputs, options)
        net = depthwise_conv2d(inputs, kernel, stride, padding, rate)
        return _finish(net, activation_fn, normalizer_fn, options, variable_scope.name)
