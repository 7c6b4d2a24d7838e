"""What a search is about: everything that must stay the same until its end, as search.json holds it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from mnasnet_cli import __version__
from mnasnet_cli.config.loading import validate as validate_config
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.config.schema import Config
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.searching.rungs import Rung, make_rungs

RECALIBRATED_BATCHES = 20
"""Training batches on which batch norm is measured before a score."""


@dataclass(frozen=True)
class PhoneNet:
    """A net that was measured on a phone: its table, the side of its input in px, and its latency in ms."""

    table: dict[str, Any]
    input_size: int
    ms: float


@dataclass(frozen=True)
class Plan:
    """The settings of a search.

    Attributes:
      data: the user's records. fingerprint: of them. classes: how many they have. train_images: those that
        are not held out to score nets.
      limits_ms: of the latency; each has a search of its own.
      image_sizes: of the training images in px, from which nets choose.
      recipe: the recipe's name. assignments: those of --set. config: what both give.
      candidates: drawn nets for each limit; None: as many as budget_seconds allows.
      init: the model that nets inherit from, and init_digest, the SHA-256 of its weights; None without one.
      device: the name of the processor or phone that latencies are of.
      version: of mnasnet; another one may draw other nets.
      phone_nets: what was measured there; empty if latencies are measured by the search itself.
    """

    data: str
    fingerprint: str
    classes: int
    train_images: int
    limits_ms: tuple[float, ...]
    threads: int
    int8: bool
    image_sizes: tuple[int, ...]
    recipe: str
    assignments: tuple[str, ...]
    config: dict[str, Any]
    seed: int
    candidates: int | None
    budget_seconds: float | None
    init: str | None
    init_digest: str | None
    device: str
    phone_nets: tuple[PhoneNet, ...] = ()
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        tree: dict[str, Any] = TypeAdapter(Plan).dump_python(self, mode="json")
        return tree

    @property
    def name(self) -> str:
        """The same for all processes that join this search with the same settings, whatever their folders."""
        tree = {key: value for key, value in self.to_json().items() if key not in ("data", "init", "device")}
        digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
        return f"mnasnet search {digest[:16]}"

    @property
    def format(self) -> str:
        """The export format that latencies are of."""
        return "tflite-int8" if self.int8 else "tflite"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of successive halving."""
        return make_rungs(int(self.config["training"]["epochs"]))

    def input_size(self, image_size: int) -> int:
        """Return the side of the input of an exported net that was trained on images of one of `image_sizes`, px."""
        return self._input_sizes[image_size]

    @functools.cached_property
    def _input_sizes(self) -> dict[int, int]:
        last = len(self.rungs) - 1
        configs = {size: self.training_config("b1", None, 1.0, size, rung=last, seed=0) for size in self.image_sizes}
        return {size: config.eval_size for size, config in configs.items()}

    def training_config(
        self, variant: str, table: Mapping[str, Any] | None, width: float, image_size: int, *, rung: int, seed: int
    ) -> Config:
        """Return the configuration of a training.

        Args:
          table: of a drawn net; None for a built-in variant.
          image_size: of the last rung, px.
          seed: 0, 1 …; the search's own is added.
        """
        rungs = self.rungs
        tree = {
            name: dict(section) if isinstance(section, Mapping) else section for name, section in self.config.items()
        }
        tree["model"] |= {"variant": variant, "table": dict(table) if table else None, "width": width}
        tree["data"]["image_size"] = rungs[rung].image_size(image_size)
        share = rungs[rung].epochs / rungs[-1].epochs
        for key in ("warmup_epochs", "hold_epochs", "decay_epochs"):
            tree["schedule"][key] *= share
        tree["training"] |= {
            "epochs": rungs[rung].epochs,
            "seed": self.seed + seed,
            "eval_every_epochs": 0,
            "patience": 0,
            "keep_checkpoints": 1,
            "track": "none",
        }
        batches = tree["finetune"]["recalibrate_batches"] or RECALIBRATED_BATCHES
        tree["finetune"] |= {
            "freeze": None,
            "freeze_epochs": None,
            "freeze_norm": False,
            "recalibrate_batches": batches,
        }
        return validate_config(tree, "the search")


def table_of(spec: NetSpec, name: str) -> dict[str, Any]:
    """Return a drawn net as the table of a net file."""
    return NetTable.from_spec(spec, name).model_dump(mode="json")
