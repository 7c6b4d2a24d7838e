"""A TF-Slim function as a TensorFlow 2 module. Its variables live in a dict, under their slim names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

MOVING_STATISTICS = ("moving_mean", "moving_variance")


class SlimModule(tf.Module):
    """Calls `function` with `get_variable` answered from `self.weights`.

    The first call creates the variables (outside of any graph, so that later calls share them); it must happen
    inside the `tf.distribute` scope that will train them. Slim's own names are kept, which is what makes its
    checkpoints readable: `weights["Mnasnet/Conv/weights"]`.

    Attributes:
      weights: name → variable, in the order of creation.
      regularized: names of the variables that slim's scope gave a regularizer, the ones that weight decay is for.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name=name)
        self._function = function
        self.weights: dict[str, tf.Variable] = {}
        self._regularized: tuple[str, ...] = ()

    def __call__(self, *args: Any, variables: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Runs the function; `variables` (such as averaged weights) stand in for the module's own, by name."""
        with self._scope(variables):
            return self._function(*args, **kwargs)

    def build(self, *specs: tf.TensorSpec, **kwargs: Any) -> None:
        """Creates the variables by tracing the function once on inputs of these specs."""
        tf.function(lambda *inputs: self(*inputs, **kwargs), autograph=False).get_concrete_function(*specs)

    @property
    def regularized(self) -> frozenset[str]:
        return frozenset(self._regularized)

    @property
    def trainable(self) -> dict[str, tf.Variable]:
        return {name: variable for name, variable in self.weights.items() if variable.trainable}

    @contextlib.contextmanager
    def _scope(self, variables: Mapping[str, Any] | None) -> Iterator[None]:
        def answer(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
            if variables is not None:
                return variables[name]
            if name not in self.weights:
                self._create(name, *args, **kwargs)
            return self.weights[name]

        with tf.compat.v1.variable_scope(tf.compat.v1.VariableScope(reuse=False, custom_getter=answer)):
            yield

    def _create(
        self,
        name: str,
        shape: Any = None,
        dtype: tf.DType = tf.float32,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool | None = True,
        **_: Any,
    ) -> None:
        # Each replica keeps its own copy of a moving statistic and need not wait for the others to read it; read from
        # outside (to evaluate, to save), it is their mean.
        per_replica = name.endswith(MOVING_STATISTICS)
        with tf.init_scope():
            self.weights[name] = tf.Variable(
                lambda: initializer(shape, dtype=dtype),
                trainable=bool(trainable) and not per_replica,
                name=name,
                dtype=dtype,
                synchronization=tf.VariableSynchronization.ON_READ if per_replica else tf.VariableSynchronization.AUTO,
                aggregation=tf.VariableAggregation.MEAN if per_replica else tf.VariableAggregation.NONE,
            )
        if regularizer is not None:
            self._regularized = (*self._regularized, name)
