"""A TF-Slim function as a TensorFlow 2 module. Its variables are in a dictionary by their slim names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

MOVING_STATISTICS = ("moving_mean", "moving_variance")


class SlimModule(tf.Module):
    """Calls a function whose `tf.compat.v1.get_variable` returns variables of `self.weights`.

    The first call creates the variables, outside of any graph, so that later calls share them. Make it inside the
    `tf.distribute` scope that will train them. The variables keep slim's names, for example "Mnasnet/Conv/weights".

    Attributes:
      weights: name → variable, in the order of creation.
      regularized: names of the variables with a regularizer in slim's scope. Weight decay applies to them.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name=name)
        self._function = function
        self.weights: dict[str, tf.Variable] = {}
        self._regularized: tuple[str, ...] = ()

    def __call__(self, *args: Any, variables: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Run the function; `variables` (such as averaged weights) replace the module's own, by name."""
        with self._scope(variables):
            return self._function(*args, **kwargs)

    def build(self, *specs: tf.TensorSpec, **kwargs: Any) -> None:
        """Create the variables by tracing the function once on inputs of these specs."""
        tf.function(lambda *inputs: self(*inputs, **kwargs), autograph=False).get_concrete_function(*specs)

    @property
    def regularized(self) -> frozenset[str]:
        return frozenset(self._regularized)

    @property
    def trainable(self) -> dict[str, tf.Variable]:
        return {name: variable for name, variable in self.weights.items() if variable.trainable}

    @contextlib.contextmanager
    def _scope(self, variables: Mapping[str, Any] | None) -> Iterator[None]:
        def get_variable(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
            if variables is not None:
                return variables[name]
            if name not in self.weights:
                self._create(name, *args, **kwargs)
            return self.weights[name]

        with tf.compat.v1.variable_scope(tf.compat.v1.VariableScope(reuse=False, custom_getter=get_variable)):
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
        # Each replica has its own copy of a moving statistic, so it does not wait for the others to read it. Outside of
        # a replica (to evaluate, to save), the value is the mean of the copies.
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
