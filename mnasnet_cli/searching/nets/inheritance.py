"""What a net inherits from a trained larger one: the centres of kernels, the strongest channels, the first repeats.

A channel's strength is the sum of the absolute weights that write it, times its batch norm's scale. All blocks of a
stage add to the same channels, so these are chosen once for the stage. What the trained net does not have keeps its
random initial weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.nets.architecture import BlockSpec, NetSpec, block_specs

SCOPE = "Mnasnet"
Weights = Mapping[str, np.ndarray]


def check_trained_net(source: str, spec: NetSpec) -> None:
    """Raise ConfigError if a net has other stages than those of the space."""
    from mnasnet_cli.searching.nets.space import STAGES

    strides = (1, *(stride for _, stride, _ in STAGES))
    if tuple(stage.stride for stage in spec.stages) != strides:
        raise ConfigError(
            f"--init {source} has {len(spec.stages)} stages with other strides than the nets of the search; expected "
            "a net such as b1, a1 or mobilenet-v2"
        )


def inherit(
    initial: Weights, spec: NetSpec, trained: Weights, trained_spec: NetSpec, *, same_classes: bool
) -> dict[str, np.ndarray]:
    """Return the weights of a net: those of a trained net where it has them, else the initial ones.

    Args:
      initial: random weights of the net, by name.
      trained: of a net with the same strides, usually a larger one.
      same_classes: the classifier is inherited, too.
    """
    found = {name: np.array(value) for name, value in initial.items()}
    copy = _Copy(found, trained)
    stem = copy.strongest("Conv", spec.stem)
    copy.convolution("Conv", "Conv", np.arange(3), stem)
    own, other = _by_stage(spec), _by_stage(trained_spec)
    inputs = stem
    for blocks, sources in zip(own, other, strict=True):
        outputs = copy.strongest(f"{sources[0].scope}/project", blocks[0].out_channels)
        for block, source in zip(blocks, sources, strict=False):
            copy.block(block, source, inputs, outputs)
            inputs = outputs
        inputs = outputs
    head = copy.strongest("Conv_1", spec.head)
    copy.convolution("Conv_1", "Conv_1", inputs, head)
    if same_classes:
        copy.classifier(head)
    return found


def _by_stage(spec: NetSpec) -> list[list[BlockSpec]]:
    blocks = iter(block_specs(spec))
    return [[next(blocks) for _ in range(stage.repeats)] for stage in spec.stages]


class _Copy:
    """Copies weights layer by layer. Channels are indices into those of the trained net, in rising order."""

    def __init__(self, found: dict[str, np.ndarray], trained: Weights) -> None:
        self._found, self._trained = found, trained

    def strongest(self, scope: str, count: int) -> np.ndarray:
        """Return the `count` strongest outputs of a convolution of the trained net, or all where it has fewer."""
        weights = self._trained.get(f"{SCOPE}/{scope}/weights")
        if weights is None:
            weights = self._trained[f"{SCOPE}/{scope}/depthwise_weights"][..., 0]
        strength = np.abs(weights).sum(tuple(range(weights.ndim - 1)))
        gamma = self._trained.get(f"{SCOPE}/{scope}/BatchNorm/gamma")
        if gamma is not None:
            strength = strength * np.abs(gamma)
        return np.sort(np.argsort(-strength, kind="stable")[:count])

    def block(self, block: BlockSpec, source: BlockSpec, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Copy a block; without an expansion on both sides or neither, nothing is alike."""
        if block.has_expansion != source.has_expansion:
            return
        expanded = inputs
        if block.has_expansion:
            expanded = self.strongest(f"{source.scope}/depthwise", block.expanded_channels)
            self.convolution(f"{block.scope}/expand", f"{source.scope}/expand", inputs, expanded)
        self._depthwise(f"{block.scope}/depthwise", f"{source.scope}/depthwise", expanded)
        self.convolution(f"{block.scope}/project", f"{source.scope}/project", expanded, outputs)
        both_squeeze = block.squeeze_channels and source.squeeze_channels
        if both_squeeze and block.squeezes_expanded == source.squeezes_expanded:
            mine, theirs = f"{block.scope}/se_block", f"{source.scope}/se_block"
            reduced = self.strongest(f"{source.scope}/se_block/excitation_reduce", block.squeeze_channels)
            gated = expanded if block.squeezes_expanded else outputs
            self.convolution(f"{mine}/excitation_reduce", f"{theirs}/excitation_reduce", gated, reduced)
            self.convolution(f"{mine}/excitation_expand", f"{theirs}/excitation_expand", reduced, gated)

    def convolution(self, scope: str, source: str, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Copy a convolution with its bias or batch norm."""
        theirs = self._trained[f"{SCOPE}/{source}/weights"][:, :, inputs][..., outputs]
        mine = self._found[f"{SCOPE}/{scope}/weights"]
        mine[:, :, : len(inputs), : len(outputs)] = _centred(theirs, mine.shape[0])
        self._vectors(scope, source, outputs)

    def classifier(self, inputs: np.ndarray) -> None:
        """Copy the classifier, which has the same classes."""
        name = f"{SCOPE}/Conv2d_1c_1x1"
        self._found[f"{name}/weights"][:, :, : len(inputs)] = self._trained[f"{name}/weights"][:, :, inputs]
        self._found[f"{name}/biases"][:] = self._trained[f"{name}/biases"]

    def _depthwise(self, scope: str, source: str, channels: np.ndarray) -> None:
        theirs = self._trained[f"{SCOPE}/{source}/depthwise_weights"][:, :, channels]
        mine = self._found[f"{SCOPE}/{scope}/depthwise_weights"]
        mine[:, :, : len(channels)] = _centred(theirs, mine.shape[0])
        self._vectors(scope, source, channels)

    def _vectors(self, scope: str, source: str, outputs: np.ndarray) -> None:
        for name in ("biases", *(f"BatchNorm/{one}" for one in ("beta", "gamma", "moving_mean", "moving_variance"))):
            key, other = f"{SCOPE}/{scope}/{name}", f"{SCOPE}/{source}/{name}"
            if key in self._found and other in self._trained:
                self._found[key][: len(outputs)] = self._trained[other][outputs]


def _centred(kernel: np.ndarray, side: int) -> np.ndarray:
    """Return a kernel [k, k, …] cropped to its centre, or surrounded by zeros, [side, side, …]."""
    margin = (kernel.shape[0] - side) // 2
    if margin >= 0:
        return kernel[margin : margin + side, margin : margin + side]
    edges = [(-margin, -margin)] * 2 + [(0, 0)] * (kernel.ndim - 2)
    return np.pad(kernel, edges)


@contextlib.contextmanager
def inherited_checkpoint(
    trained: str | None, digest: str | None, config: Config, records: Path, folder: Path
) -> Iterator[str | None]:
    """Yield a checkpoint of a configuration's net with inherited weights, in a temporary folder.

    Args:
      trained: the model to inherit from; None yields None.
      digest: the SHA-256 of its weights.
      records: of the search.
      folder: where the temporary folder is made.

    Raises:
      ConfigError: the model has other weights now.
    """
    if trained is None:
        yield None
        return
    import tensorflow as tf

    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.folder import CheckpointFolder
    from mnasnet_cli.checkpoints.reader import read_checkpoint
    from mnasnet_cli.checkpoints.restoring import net_config
    from mnasnet_cli.checkpoints.writer import SavedState
    from mnasnet_cli.system.files import make_folder, temporary_folder
    from mnasnet_cli.tasks.from_config import make_task

    contents = read_checkpoint(find_checkpoint(trained))
    if contents.weights_sha256 != digest:
        raise ConfigError(
            f"--init {trained} has other weights than when the search began, perhaps because it was trained on; "
            "restore it, or start over with --fresh"
        )
    task = make_task(config, records)
    tf.random.set_seed(config.training.seed)
    model = task.make_model()
    initial = {name: variable.numpy() for name, variable in model.weights.items()}
    same = contents.info["labels"] == task.model_info()["labels"]
    trained_spec = net_config(contents).model.spec
    weights = inherit(initial, config.model.spec, contents.weights, trained_spec, same_classes=same)
    for name, variable in model.weights.items():
        variable.assign(weights[name])
    make_folder(folder)
    with temporary_folder(folder) as temporary:
        yield SavedState(model, task.model_info()).save(CheckpointFolder(temporary / "checkpoints", keep=1), 0)
