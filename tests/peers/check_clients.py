"""Runs exported files in the programs that people use, and compares what they find with `mnasnet predict`.

    python tests/peers/check_clients.py [--peer-python PYTHON] [--node-modules DIR] [--classifier RUN --records DIR]
        [--detector RUN] [--pictures DIR] [--count N] [--json FILE]

PYTHON has mediapipe, openvino and onnxruntime, DIR has npm's @litertjs/core and playwright-core. Kotlin needs Debian's
packages kotlin and libandroid-json-java. What is missing is skipped, and said so. The programs are those of
docs/how-to/programs.md. By default the models and the pictures
are those of `mnasnet demo`, which is run first. PICTURES may have the folders `classifier` and `detector`. The exit
code is 1 where a program differs by more than is allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from folder_server import serve_folder
from page_programs import write_programs
from PIL import Image

from mnasnet_cli.records.image_files.profiles import has_foreign_profile

ROOT = Path(__file__).parents[2]
Found = dict[str, list[dict[str, Any]]]
KINDS = ("classifier", "detector")
SIDES = ("xmin", "ymin", "xmax", "ymax")
SHOWN, FAINT = 0.3, 0.05  # scores of boxes: those to find again, and those among which they may be
# MediaPipe takes whole numbers for pixels, and in an integer net a pixel may be a step away. Of pictures that were not
# shrunk for MediaPipe, the difference is only shown.
EXACT, NEAR, INTEGERS, OTHER = 0.01, 0.05, 0.1, 1.0
# (program, format, MediaPipe's kind of file, largest difference of probabilities or scores)
OF_BOTH = [
    ("litert", "tflite", False, EXACT),
    ("kotlin", "tflite", False, EXACT),
    ("onnx_runtime", "onnx", False, EXACT),
    ("open_vino", "onnx", False, EXACT),
    ("saved_model", "saved-model", False, EXACT),
    ("browser", "web", False, EXACT),
    ("media_pipe", "tflite", True, NEAR),
    ("media_pipe:whole", "tflite", True, OTHER),
]
CLIENTS = {
    "classifier": [
        *OF_BOTH,
        ("litert", "tflite-int8", False, INTEGERS),
        ("media_pipe", "tflite-int8", True, INTEGERS),
        ("media_pipe:region", "tflite", True, OTHER),
    ],
    "detector": OF_BOTH,
}
OWN_PYTHON = ("litert", "saved_model")  # run where ai-edge-litert and tensorflow are anyway
MODULES = {"onnx_runtime": "onnxruntime", "open_vino": "openvino", "media_pipe": "mediapipe"}


def mnasnet(*arguments: object) -> str:
    command = [sys.executable, "-m", "mnasnet_cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def choose_pictures(source: Path, count: int, target: Path) -> None:
    """Copies `count` pictures of a folder and its folders, at even distances."""
    files = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    target.mkdir(parents=True)
    for number in range(min(count, len(files))):
        path = files[number * len(files) // min(count, len(files))]
        shutil.copy(path, target / f"{number:03}{path.suffix}")


def predicted(model: Path, pictures: Path) -> Found:
    report = json.loads(mnasnet("predict", model, pictures, "--top", 10**6, "--score-threshold", FAINT, "--json"))
    key = "predictions" if report["kind"] == "classifier" else "boxes"
    return {Path(one["file"]).name: one[key] for one in report["images"]}


def run_browser(folder: Path, pictures: Path, modules: Path, out: Path) -> Found:
    with serve_folder(folder) as url:
        script, chromium = Path(__file__).with_name("browser.mjs"), shutil.which("chromium")
        command = ["node", script, modules, chromium, f"{url}index.html", pictures, out]
        subprocess.run([str(part) for part in command], check=True)
    page = json.loads(out.read_text())
    assert page["status"].startswith("Ready"), page
    found = page["found"]
    for boxes in found.values():
        for one in boxes:
            one["class"] = one.pop("label")
            one.update(zip(SIDES, one.pop("box", []), strict=False))
    return found


def in_srgb(pictures: Path, target: Path) -> Path:
    """Copies the pictures that are in sRGB."""
    target.mkdir(exist_ok=True)
    for path in pictures.iterdir():
        with Image.open(path) as image:
            if not has_foreign_profile(image):
                shutil.copy(path, target)
    return target


def run_kotlin(folder: Path, pictures: Path, programs: Path, json_jar: Path) -> Found:
    """Runs the page's class on the JVM with stand-ins for Android's bitmap and for LiteRT."""
    stand_ins, jar = Path(__file__).with_name("kotlin"), programs / "net.jar"
    if not jar.exists():
        build = ["kotlinc", "-cp", json_jar, programs / "Net.kt", stand_ins, "-include-runtime", "-d", jar]
        subprocess.run([str(part) for part in build], check=True, stderr=subprocess.DEVNULL)
    bridge = f"-Dbridge={sys.executable}\n{stand_ins / 'litert_bridge.py'}"
    command = ["java", bridge, "-cp", f"{jar}{os.pathsep}{json_jar}", "MainKt", str(folder), str(pictures)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    manifest = json.loads((folder / "manifest.json").read_text())
    labels = dict(zip(manifest["names"], manifest["labels"], strict=True))
    for answers in found.values():
        for one in answers:
            one["class"] = labels[one["name"]]
    return found


def compare_classes(ours: Found, theirs: Found) -> dict[str, Any]:
    same, differences = 0, []
    for name, expected in ((name, ours[name]) for name in theirs):
        found = {one["class"]: one["probability"] for one in theirs[name]}
        same += theirs[name][0]["class"] == expected[0]["class"]
        differences += [abs(found.get(one["class"], 0.0) - one["probability"]) for one in expected]
    return {"of": len(theirs), "same": same, "difference": max(differences)}


def overlap(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Intersection over union."""

    def size(xmin: float, ymin: float, xmax: float, ymax: float) -> float:
        return max(0.0, xmax - xmin) * max(0.0, ymax - ymin)

    sides = [[one[key] for key in SIDES] for one in (first, second)]
    both = size(*map(max, sides[0][:2], sides[1][:2]), *map(min, sides[0][2:], sides[1][2:]))
    return both / max(size(*sides[0]) + size(*sides[1]) - both, 1e-9)


def compare_boxes(ours: Found, theirs: Found) -> dict[str, Any]:
    """Each box that either shows must be among the other's, of the same name, with more than half of its area."""
    found, lost, pixels, scores = 0, 0, [0.0], [0.0]
    for name in theirs:
        for some, others in ((ours[name], theirs[name]), (theirs[name], ours[name])):
            for box in (one for one in some if one["score"] >= SHOWN):
                same = [one for one in others if one["name"] == box["name"]]
                best = max(same, key=lambda one: overlap(one, box), default=box | dict.fromkeys(SIDES, 0.0))
                if overlap(best, box) < 0.5:
                    lost += 1
                    continue
                found += some is ours[name]
                pixels.append(max(abs(best[side] - box[side]) for side in SIDES))
                scores.append(abs(best["score"] - box["score"]))
    return {"of": found + lost, "same": found, "difference": max(scores), "pixels": max(pixels)}


def missing(program: str, arguments: argparse.Namespace) -> str:
    """Returns what the program needs and is not here."""
    if program == "browser":
        needed = [arguments.node_modules / name for name in ("@litertjs/core", "playwright-core")]
        absent = [name for name in ("node", "chromium") if shutil.which(name) is None]
        return ", ".join(absent + [str(path) for path in needed if not path.is_dir()])
    if program == "kotlin":
        absent = [name for name in ("kotlinc", "java") if shutil.which(name) is None]
        return ", ".join(absent + [str(arguments.json_jar)] * (not arguments.json_jar.is_file()))
    module = MODULES.get(program.partition(":")[0], "")
    if module and subprocess.run([arguments.peer_python, "-c", f"import {module}"], capture_output=True).returncode:
        return f"{module} in {arguments.peer_python}"
    return ""


def export(
    kind: str, model: Path, skipped: dict[str, str], arguments: argparse.Namespace, folder: Path
) -> dict[bool, Path]:
    """Exports what the programs need that are here; returns the folders, by whether the files are for MediaPipe."""
    folders = {
        for_mediapipe: folder / kind / ("mediapipe" if for_mediapipe else "plain") for for_mediapipe in (False, True)
    }
    with_records = kind == "classifier" and arguments.records
    for for_mediapipe, out in folders.items():
        formats = {one[1] for one in CLIENTS[kind] if one[2] == for_mediapipe and not skipped[one[0]]}
        if not with_records:
            formats -= {"tflite-int8"}  # it calibrates on records
        if formats:
            flags = [flag for one in sorted(formats) for flag in ("--format", one)]
            flags += ["--data", arguments.records] if with_records else []
            flags += ["--mediapipe"] if for_mediapipe else []
            flags += ["--litertjs", arguments.node_modules] if "web" in formats else []
            mnasnet("export", model, "--out", out, *flags)
    return folders


def check(kind: str, model: Path, pictures: Path, arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Prints a line for each program; returns the results."""
    skipped = {program: missing(program, arguments) for program, *_ in CLIENTS[kind]}
    exports = export(kind, model, skipped, arguments, folder)
    ours, results = predicted(model, pictures), []
    for program, format, for_mediapipe, allowed in CLIENTS[kind]:
        artifact, out = exports[for_mediapipe] / format, folder / f"{kind}-{program}-{format}.json"
        if skipped[program] or not artifact.exists():
            print(f"{kind:10} {program:17} {format:11} skipped: no {skipped[program] or 'records'}", flush=True)
            continue
        if program in ("saved_model", "kotlin"):  # TensorFlow's graph and Java's reader don't apply profiles
            given = in_srgb(pictures, folder / f"{kind}-srgb")
        else:
            given = pictures
        if program == "browser":
            theirs = run_browser(artifact, pictures, arguments.node_modules, out)
        elif program == "kotlin":
            theirs = run_kotlin(artifact, given, folder / "programs", arguments.json_jar)
        else:
            python = sys.executable if program in OWN_PYTHON else arguments.peer_python
            script = str(Path(__file__).with_name("run_client.py"))
            command = [python, "-I", script, str(folder / "programs"), program, str(artifact), str(given), str(out)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL if arguments.quiet else None)
            theirs = json.loads(out.read_text())
        # Integers are not the checkpoint: what the program finds is compared with the same file in `mnasnet predict`.
        expected = predicted(artifact / "model.tflite", pictures) if format.endswith("int8") else ours
        result = compare_classes(expected, theirs) if kind == "classifier" else compare_boxes(expected, theirs)
        what = "classes" if kind == "classifier" else "boxes"
        line = f"{kind:10} {program:17} {format:11} {result['same']} of {result['of']} {what}"
        line += f", largest difference {result['difference']:.5f}"
        print(line + (f", {result['pixels']:.2f} px" if "pixels" in result else ""), flush=True)
        failed = result["difference"] > allowed or (allowed == EXACT and result["same"] < result["of"])
        results.append({"kind": kind, "program": program, "format": format, **result, "failed": failed})
    return results


def main() -> int:
    """Runs the checks; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with mediapipe, openvino, onnxruntime")
    modules = Path(os.environ.get("MNASNET_NODE_MODULES", "node_modules"))
    parser.add_argument("--node-modules", type=Path, default=modules, help="with @litertjs/core and playwright-core")
    parser.add_argument("--classifier", type=Path, help="a run; default: that of `mnasnet demo`")
    parser.add_argument("--detector", type=Path, help="a run; default: that of `mnasnet demo`")
    parser.add_argument("--records", type=Path, help="the classifier's records; without them no int8 file is made")
    parser.add_argument("--pictures", type=Path, help="a folder; default: those of `mnasnet demo`")
    parser.add_argument("--count", type=int, default=50, help="pictures of each kind")
    parser.add_argument("--json-jar", type=Path, default=Path("/usr/share/java/com.android.json.jar"), help="org.json")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--verbose", dest="quiet", action="store_false", help="show what the programs log")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "programs").mkdir()
        write_programs(folder / "programs")
        models = dict(zip(KINDS, (arguments.classifier, arguments.detector), strict=True))
        sources = dict.fromkeys(KINDS, arguments.pictures)
        if not any(models.values()):
            images, arguments.records, models["classifier"], scenes, _, models["detector"] = run_demo(folder / "demo")
            sources = {"classifier": arguments.pictures or images, "detector": arguments.pictures or scenes}
        results = []
        for kind in KINDS:
            source, chosen = sources[kind], folder / "pictures" / kind
            if models[kind] is None:
                continue
            if source is None:
                parser.error("--classifier and --detector need --pictures")
            choose_pictures(source / kind if (source / kind).is_dir() else source, arguments.count, chosen)
            results += check(kind, models[kind].resolve(), chosen, arguments, folder)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
    return int(any(one["failed"] for one in results))


def run_demo(folder: Path) -> list[Path]:
    from mnasnet_cli.commands.demo import SUBFOLDERS

    mnasnet("demo", "--out", folder)
    return [folder / name for name in SUBFOLDERS]


if __name__ == "__main__":
    sys.exit(main())
