"""What ``check_wheel.py`` runs in the environment of the installed wheel. Usage: RECIPE…, as "imagenet/quick.yaml".

Fails with an AssertionError; prints a line for each thing that held.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import data_prep
import mnasnet_cli
from data_prep.shapes import write_shapes_imagenet
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.recipes import configs_dir, shipped_configs
from mnasnet_cli.config.task_names import DATASETS
from mnasnet_cli.system.optional_packages import install_command

SIZE = 32


def mnasnet(*arguments: str) -> str:
    """Runs the installed program; returns its standard output."""
    result = subprocess.run(["mnasnet", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"mnasnet {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr}"
    return result.stdout


def is_installed() -> None:
    """Both packages are those of the environment, typed, with the metadata of a public project."""
    for package in (mnasnet_cli, data_prep):
        folder = Path(package.__file__).parent
        assert folder.is_relative_to(sys.prefix), folder
        assert (folder / "py.typed").is_file(), folder
    about = importlib.metadata.metadata("mnasnet")
    links = dict(link.split(", ", 1) for link in about.get_all("Project-URL"))
    assert {"Homepage", "Documentation", "Issues", "Changelog"} <= set(links), links
    assert about["License-Expression"] == "Apache-2.0"
    assert "torch" in install_command("import")
    print(f"installed: mnasnet {about['Version']} in {Path(sys.prefix).name}, {len(links)} project links")


def commands_answer() -> None:
    """The program starts, and lists its commands and its nets."""
    assert mnasnet("--version").split() == ["mnasnet", importlib.metadata.version("mnasnet")]
    help_text = mnasnet("--help")
    for command in ("prepare-imagenet", "train-imagenet", "train-coco", "export", "predict"):
        assert command in help_text, command
        mnasnet(command, "--help")
    variants = {row["name"] for row in json.loads(mnasnet("models", "--json"))["variants"]}
    assert variants == {"a1", "b1", "small", "d1", "a1-2019", "b1-2019"}, variants
    print(f"commands answer; models lists {len(variants)} variants")


def recipes_are_shipped(recipes: list[str]) -> None:
    """Every file of the checkout's configs/ is in the wheel, and every recipe loads by its name."""
    assert configs_dir() == Path(mnasnet_cli.__file__).parent / "_configs"
    found = sorted(str(path.relative_to(configs_dir())) for path in configs_dir().glob("*/*"))
    assert found == recipes, set(found) ^ set(recipes)
    loaded = [load_config(name, task=task) for task in DATASETS for name in shipped_configs(task)]
    assert len(loaded) == sum(recipe.endswith(".yaml") for recipe in recipes)
    print(f"recipes: {len(loaded)} load by name")


def trains_and_predicts() -> None:
    """From images to a prediction of an exported net, with commands alone."""
    write_shapes_imagenet(Path("images"), classes=3, train_per_class=8, val_per_class=2, size=SIZE)
    mnasnet("prepare-imagenet", "images", "records", "--train-shards=2", "--val-shards=1")
    mnasnet("train-imagenet", "--variant=small", "--width=0.35", "--config=quick", f"--image-size={SIZE}", "--epochs=1",
            "--batch-size=8", "--data=records", "--run-dir=run")  # fmt: skip
    mnasnet("export", "run", "--format=tflite", "--data=records", "--parity-images=2", "--out=export")
    pictures = sorted(map(str, Path("images/val").rglob("*.*")))
    lines = mnasnet("predict", "export/tflite/model.tflite", *pictures, "--format=jsonl").splitlines()
    assert len(lines) == len(pictures) == 6, lines
    assert all(json.loads(line)["predictions"] for line in lines)
    print(f"prepare-imagenet, train-imagenet, export and predict: {len(lines)} images classified by a TFLite net")


if __name__ == "__main__":
    is_installed()
    commands_answer()
    recipes_are_shipped(sys.argv[1:])
    trains_and_predicts()
    print("ok")
