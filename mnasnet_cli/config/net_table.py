"""Nets of one's own: the table of a net as a YAML or JSON file, and as the section `model.table`.

A table has the rows of the built-in nets (`nets/spec.py`). `--variant net.yaml` reads it once (`resolve_variant`). From
then on it travels with the name: as `model.table` in a run's config.yaml, and as `table` in a checkpoint's information
and in a manifest. Where there is no table, the name is that of a built-in net.

    name, table = resolve_variant("net.yaml")        # the name alone for a built-in net, such as "b1"
    spec = table.spec                                # a NetSpec, for block_specs, count_parameters, multiply_adds …
    table = NetTable.from_spec(spec)                 # of a net that a program has made
    text = table.to_yaml()                           # for a file
    config = load_config("quick", flags={"model.variant": "net.yaml"})
    spec = stored_net(checkpoint_info)               # of a checkpoint or a manifest, whether it has a table or not
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from mnasnet_cli.config.fields import Fraction, FractionBelowOne, Positive, Section
from mnasnet_cli.errors import ConfigError, nearest
from mnasnet_cli.nets.architecture import Dialect, NetSpec, StageSpec
from mnasnet_cli.nets.spec import MOBILENET_V2, NETS, count_parameters, get_spec
from mnasnet_cli.system.documents import (
    MAX_YAML_BYTES,
    Missing,
    Unreadable,
    parse_yaml,
    read_bytes,
    read_text,
    validate,
)

MAX_PARAMETERS = 1_000_000_000
"""Of a table at width 1. A SavedModel or a TFLite file can't hold more than 2 GB."""
_EXPECTED = "expected the table of a net, as `mnasnet models b1 --yaml` prints one"
_SUFFIXES = (".yaml", ".yml", ".json")

Channels = Annotated[int, Field(ge=1, le=16384)]


class TablePart(Section):
    """A part of a table. An unknown key is an error that names the nearest one."""

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, tree: Any) -> Any:
        if isinstance(tree, Mapping):
            for key in tree:
                if key not in cls.model_fields:
                    hint = nearest(str(key)[:60], cls.model_fields) or f"; expected {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key {str(key)[:60]!r}{hint}")
        return tree


class StageRow(TablePart):
    """A row of the table: `repeats` blocks, of which the first one has the stride."""

    repeats: Annotated[int, Field(ge=1, le=100)]
    """Number of blocks."""
    kernel: Annotated[int, Field(ge=1, le=31)]
    """Side of the depthwise convolution, in pixels; an odd number."""
    stride: Annotated[int, Field(ge=1, le=2)]
    """Step of the depthwise convolution of the first block, in pixels."""
    expand: Annotated[int, Field(ge=1, le=64)]
    """Expansion ratio: channels of the depthwise convolution over those of the block's input; 1: no expansion."""
    channels: Channels
    """Output channels."""
    squeeze: Fraction = 0.0
    """Squeeze-excite ratio: its bottleneck over the channels of the block's input; 0: none."""
    skip: bool = True
    """Whether blocks have a residual connection, where stride and width allow one."""

    @model_validator(mode="after")
    def _check_kernel(self) -> StageRow:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {self.kernel}")
        return self


class DialectTable(TablePart):
    """Details in which implementations of one table differ."""

    activation: Literal["relu", "relu6"] = "relu"
    """Activation after the stem, the expansion, the depthwise convolution and the head."""
    expand_from: Literal["input", "output"] = "input"
    """Whether `expand` multiplies the channels of a block's input or of its output."""
    squeeze_at: Literal["expanded", "projected"] = "expanded"
    """Squeeze-excite acts on the expanded channels, or on the block's output."""
    padding: Literal["same", "symmetric"] = "same"
    """`same` pads as TensorFlow does; `symmetric` pads k // 2 zeros on every side, as PyTorch does."""
    batch_norm_decay: Fraction = 0.99
    """Decay per step of batch norm's moving mean and variance."""
    batch_norm_epsilon: Positive = 1e-3
    """Added to the variance in batch norm."""
    stem_scales: bool = True
    """Whether the width multiplier scales the stem."""
    unscaled_stages: Annotated[int, Field(ge=0)] = 0
    """Number of stages, counted from the first, that the width multiplier does not scale."""
    head_scaling: Literal["fixed", "widen"] = "fixed"
    """`fixed` keeps the head's channels; `widen` scales them by width multipliers above 1."""
    fpn_from_head: bool = False
    """Whether a detector's features of stride 32 come from the head instead of the last block."""


class NetTable(TablePart):
    """The table of a net of one's own, at width 1."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name of the net: up to 64 letters, digits, dots, dashes and underscores; not that of a built-in net."""
    stem: Channels
    """Output channels of the first convolution, which has kernel 3 and stride 2."""
    stages: Annotated[tuple[StageRow, ...], Field(strict=False, min_length=1, max_length=64)]
    """The rows, from the first."""
    head: Channels = 1280
    """Output channels of the last convolution, which has kernel 1."""
    image_size: Annotated[int, Field(ge=32, le=4096)] = 224
    """Side of the images that multiply-adds are counted for, in pixels."""
    dropout: FractionBelowOne = 0.2
    """Dropout probability before the classifier."""
    dialect: DialectTable = DialectTable()

    @model_validator(mode="after")
    def _check_net(self) -> NetTable:
        if self.dialect.unscaled_stages > len(self.stages):
            found = f"{self.dialect.unscaled_stages} of {len(self.stages)}"
            raise ValueError(f"dialect.unscaled_stages is more than there are stages: {found}")
        parameters = count_parameters(self.spec)
        if parameters > MAX_PARAMETERS:
            raise ValueError(f"the net has {parameters:.3g} parameters, expected at most {MAX_PARAMETERS:.0e}")
        return self

    @classmethod
    def from_spec(cls, spec: NetSpec, name: str | None = None) -> NetTable:
        """Return the table of a net, scaled or not, under another name if one is given.

        Raises:
          pydantic.ValidationError: a value is out of range.
        """
        tree = dataclasses.asdict(spec)
        tree.pop("width")
        return cls.model_validate({**tree, "name": name or spec.name})

    @property
    def spec(self) -> NetSpec:
        """The architecture at width 1."""
        tree = self.model_dump()
        stages = tuple(StageSpec(**row) for row in tree.pop("stages"))
        return NetSpec(stages=stages, dialect=Dialect(**tree.pop("dialect")), **tree)

    @property
    def digest(self) -> str:
        """SHA-256 in hex of everything but the name: the same for the same net."""
        tree = self.model_dump(mode="json", exclude={"name"})
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    @property
    def label(self) -> str:
        """The name with the first digits of the digest, so that two nets of one name differ in messages."""
        return f"{self.name} ({self.digest[:8]})"

    def to_yaml(self) -> str:
        """Return the table as a file for `--variant`, one line for each row."""
        tree = self.model_dump(mode="json")
        rows = [f"  - {_flow(row)}" for row in tree.pop("stages")]
        dialect = [f"  {key}: {_scalar(value)}" for key, value in tree.pop("dialect").items()]
        head = [f"{key}: {_scalar(tree.pop(key))}" for key in ("name", "stem")]
        rest = [f"{key}: {_scalar(value)}" for key, value in tree.items()]
        return "\n".join([*head, "stages:", *rows, *rest, "dialect:", *dialect, ""])


def _flow(row: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{key}: {_scalar(value)}' for key, value in row.items())}}}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and parse_yaml(value, "the table", numbers=True) == value:
        return value
    text = json.dumps(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text  # as YAML 1.1 has it


def is_net_file(variant: str) -> bool:
    """Whether a variant is the path of a file instead of a name. A built-in name never is."""
    path = Path(variant).expanduser()
    return variant not in NETS and (path.suffix.lower() in _SUFFIXES or len(path.parts) > 1 or os.path.isfile(path))


def looks_like_net(path: Path) -> bool:
    """Whether a file may be the table of a net; `read_net` checks it."""
    if path.suffix.lower() not in _SUFFIXES or not os.path.isfile(path):
        return False
    try:
        return b"stages" in read_bytes(path, MAX_YAML_BYTES)
    except Unreadable:
        return False


def read_net(path: Path) -> NetTable:
    """Read the table of a net from a YAML or JSON file.

    Raises:
      ConfigError: the file is missing or damaged, or a value is not valid; one line names the file and the key.
    """
    try:
        tree = parse_yaml(read_text(path, MAX_YAML_BYTES), path, numbers=True)
    except Missing as error:
        raise ConfigError(f"{error}; a run, a checkpoint and an export know their net without the file") from None
    except Unreadable as error:
        raise ConfigError(f"{error}; {_EXPECTED}") from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else f"a {type(tree).__name__}"
        raise ConfigError(f"{path} holds {found}; {_EXPECTED}")
    try:
        table = validate(tree, NetTable, path)
    except Unreadable as error:
        raise ConfigError(str(error)) from None
    # Only files are checked: runs and checkpoints stay readable if a later version adds a net of their name.
    if table.name in NETS and table.spec != NETS[table.name]:
        raise ConfigError(f"{path}: name: {table.name} is a built-in net with another table; choose another name")
    return table


def resolve_variant(variant: str) -> tuple[str, NetTable | None]:
    """Return the name of a variant and its table; None for a built-in net.

    Args:
      variant: the name of a built-in net, or the path of a table. A table that is exactly a built-in net of the same
        name is that net.

    Raises:
      ConfigError: the name is unknown, or the file is not a valid table.
    """
    if not is_net_file(variant):
        check_name(variant)
        return variant, None
    table = read_net(Path(variant).expanduser())
    return table.name, None if table.name in NETS else table


def check_name(name: str) -> None:
    """Raise ConfigError if there is no built-in net of this name; it names the nearest."""
    if name not in NETS:
        raise ConfigError(unknown_variant(name))


def unknown_variant(name: str) -> str:
    """Return the message for a name that no built-in net has."""
    return f"unknown variant {name!r} (known: {', '.join(NETS)}; or a file such as net.yaml){nearest(name, NETS)}"


def stored_net(info: Mapping[str, Any]) -> NetSpec:
    """Return the net of a checkpoint or a manifest at its width: from `variant`, `width`, `net` and `table`.

    Raises:
      ValueError: the variant is unknown, or the table is not valid.
    """
    table = info.get("table")
    net = NetTable.model_validate(table).spec if table else info["variant"]
    return get_spec(net, info["width"], info.get("net"))


def net_label(info: Mapping[str, Any]) -> str:
    """Return the variant of a checkpoint or a manifest for messages: "b1", or "my-net (1a2b3c4d)" with a table."""
    try:
        return NetTable.model_validate(info.get("table")).label
    except ValidationError:  # there is none, or config.yaml is damaged
        return str(info["variant"])


def is_mnasnet(net: str | NetTable) -> bool:
    """Whether a built-in net is a MnasNet; a net of one's own has no family that we know."""
    return isinstance(net, str) and net != MOBILENET_V2.name
