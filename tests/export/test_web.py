"""The format web: what is written, the page's preprocessing, and the page in Chromium."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_server import serve_folder
from PIL import Image

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.export.exporter import export_model, raise_for_faults
from mnasnet_cli.export.web import check_runtime
from mnasnet_cli.inference.runner import open_model

# A folder in which `npm install @litertjs/core playwright-core` was run.
NODE_MODULES = Path(os.environ.get("MNASNET_NODE_MODULES", "node_modules"))
CHROMIUM, NODE = shutil.which("chromium"), shutil.which("node")


def _export(run: Path, out: Path, litertjs: str | None = None) -> Path:
    raise_for_faults(
        export_model(find_checkpoint(str(run)), out, ["web"], data=None, parity_images=2, litertjs=litertjs)
    )
    return out / "web"


def _fake_runtime(folder: Path) -> None:
    for name in (
        "core/package.json", "core/dist/index.js", "core/wasm/litert_wasm_internal.js",
        "core/wasm/litert_wasm_internal.wasm", "core/wasm/litert_wasm_compat_internal.js",
        "core/wasm/litert_wasm_compat_internal.wasm", "wasm-utils/package.json", "wasm-utils/dist/index.js",
    ):  # fmt: skip
        path = folder / "node_modules" / "@litertjs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_the_page_loads_files_of_its_folder_only(exported_classifier: Path) -> None:
    folder = exported_classifier / "web"
    page = (folder / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "$" not in page
    assert '"./litert/@litertjs/core/dist/index.js"' in page
    assert {path.name for path in folder.iterdir()} == {
        "app.js", "index.html", "manifest.json", "model.tflite", "preprocessing.js"
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["signature"]["inputs"]["tensors"]["shape"] == [1, 32, 32, 3]
    assert "--litertjs" in manifest["notes"][0]


def test_litert_is_copied_beside_the_page(made_classifier: Path, tmp_path: Path) -> None:
    _fake_runtime(tmp_path)
    folder = _export(made_classifier, tmp_path / "out", str(tmp_path))
    assert (folder / "litert/@litertjs/core/wasm/litert_wasm_internal.wasm").read_text()
    assert json.loads((folder / "manifest.json").read_text())["notes"] == []


def test_a_url_is_the_only_other_place(made_classifier: Path, tmp_path: Path) -> None:
    page = (_export(made_classifier, tmp_path, "https://cdn.example.org/npm/") / "index.html").read_text()
    assert '"https://cdn.example.org/npm/@litertjs/core/dist/index.js"' in page
    policy = page[page.index("default-src") :].split('"')[0]
    assert "https://cdn.example.org;" in policy
    assert "npm" not in policy


def test_a_wrong_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"core/package\.json; install LiteRT\.js"):
        check_runtime(str(tmp_path))
    _fake_runtime(tmp_path)
    (tmp_path / "node_modules/@litertjs/wasm-utils/dist/index.js").unlink()
    with pytest.raises(DataError, match=r"wasm-utils/dist/index\.js"):
        check_runtime(str(tmp_path))
    with pytest.raises(ConfigError, match="plain URL"):
        check_runtime("https://example.org/'; script-src *")


def _picture(width: int, height: int) -> Image.Image:
    """Return an image with edges of all widths, so that each step of preprocessing shows."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 60, [height, width, 3])
    waves = np.stack([x * 7 % 256, y * 5 % 256, (x * y) // 9 % 256], axis=-1)
    return Image.fromarray(np.clip(waves * 0.75 + noise, 0, 255).astype(np.uint8))


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"antialias": False},
        {"interpolation": "bicubic"},
        {"interpolation": "bicubic", "antialias": False},
        {"interpolation": "tf1-bilinear", "antialias": False, "stretch": True},
        {"crop_fraction": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(90, 77), (20, 27)], ids=str)
def test_the_page_makes_the_nets_input(
    exported_classifier: Path, tmp_path: Path, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    from mnasnet_cli.config.pre_postprocessing import Preprocessing
    from mnasnet_cli.data.preprocessing import preprocess_bytes

    options = {**json.loads((exported_classifier / "web/manifest.json").read_text())["preprocessing"], **changes}
    picture = _picture(*size)
    png = io.BytesIO()
    picture.save(png, "PNG")
    expected = preprocess_bytes(png.getvalue(), Preprocessing(**options)).numpy()

    shutil.copy(exported_classifier / "web/preprocessing.js", tmp_path / "preprocessing.mjs")
    (tmp_path / "input.json").write_text(
        json.dumps({"options": options, "size": size, "pixels": np.asarray(picture.convert("RGBA")).ravel().tolist()})
    )
    (tmp_path / "run.mjs").write_text(
        """import {readFileSync} from "node:fs";
import {cropWindow, netInput} from "./preprocessing.mjs";
const {options, size: [width, height], pixels} = JSON.parse(readFileSync("input.json"));
const part = cropWindow(width, height, options), inside = [];
for (let y = part.y; y < part.y + part.height; y++) {
  inside.push(...pixels.slice((y * width + part.x) * 4, (y * width + part.x + part.width) * 4));
}
console.log(JSON.stringify(Array.from(netInput(inside, part.width, part.height, options, true))));
"""
    )
    result = subprocess.run([str(NODE), "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(np.reshape(json.loads(result.stdout), expected.shape), expected, atol=1e-3)


@pytest.mark.skipif(
    not (
        NODE and CHROMIUM and (NODE_MODULES / "@litertjs/core").is_dir() and (NODE_MODULES / "playwright-core").is_dir()
    ),
    reason="needs node, chromium and MNASNET_NODE_MODULES with @litertjs/core and playwright-core",
)
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_the_page_predicts_as_the_checkpoint(
    request: pytest.FixtureRequest, repo: Path, tmp_path: Path, kind: str
) -> None:
    run = request.getfixturevalue(f"made_{kind}")
    folder = _export(run, tmp_path / "out", str(NODE_MODULES))
    (tmp_path / "images").mkdir()
    for name in ("shape", "scene"):
        Image.open(repo / f"tests/fixtures/{name}.jpg").save(tmp_path / f"images/{name}.png")
    script, out = repo / "tests/peers/browser.mjs", tmp_path / "found.json"
    with serve_folder(folder) as url:
        command = [NODE, script, NODE_MODULES, CHROMIUM, f"{url}index.html", tmp_path / "images", out]
        subprocess.run([str(part) for part in command], check=True, timeout=120)
    page = json.loads(out.read_text())
    assert page["status"].startswith("Ready"), page
    assert all(address.startswith((url, "data:", "blob:")) for address in page["asked"])
    runner = open_model(str(run))
    for name, found in page["found"].items():
        expected = runner.predict_tensors(runner.preprocess((tmp_path / "images" / name).read_bytes())[np.newaxis])
        if kind == "classifier":
            odds = np.exp(expected["logits"][0] - expected["logits"][0].max())
            wanted = dict(zip("abcd", odds / odds.sum(), strict=True))
            assert {one["label"]: one["probability"] for one in found} == pytest.approx(wanted, abs=1e-3)
        else:
            scores = [one["score"] for one in found]
            np.testing.assert_allclose(scores, expected["detection_scores"][0][: len(scores)], atol=1e-3)
            assert len(scores) == expected["num_detections"][0] > 5
