"""Describes this machine: versions, processor, memory, devices, and what is wrong with it.

TensorFlow is imported in another process only, because importing it may fail or kill the process.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mnasnet_cli
from mnasnet_cli.system.documents import JsonObject, parse_json, validate
from mnasnet_cli.system.optional_packages import install_command

REQUIRED = (
    "tensorflow", "tf-slim", "typer", "rich", "pydantic", "PyYAML", "numpy", "pillow", "matplotlib",
    "tensorboard", "google-crc32c", "pycocotools", "faster-coco-eval", "ai-edge-litert", "simplejpeg",
)  # fmt: skip
OPTIONAL = ("torch", "safetensors", "tf2onnx", "onnxruntime", "pillow-heif", "mlflow", "optuna")
CPU_FEATURES = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile",  # x86
    "asimd", "bf16",  # ARM
)  # fmt: skip
ENVIRONMENT_VARIABLES = (
    "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS", "CUDA_VISIBLE_DEVICES", "TF_CONFIG", "TPU_NAME",
    "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST",
)  # fmt: skip

_IMPORTED = time.monotonic()

MIN_MEMORY_GB = 4.0  # training b1 at 224 px with batch 32 takes about 3 GB
MIN_DISK_GB = 10.0  # Imagenette's records take 0.1 GB, ImageNet's 145 GB, a run's checkpoints up to 1 GB

# This runs in another process: if the processor lacks an instruction, importing TensorFlow kills the process.
_TENSORFLOW_PROBE = """
import json
from mnasnet_cli.system.tensorflow_start import prepare_tensorflow
prepare_tensorflow()
import tensorflow as tf
devices = [{"name": d.name.replace("/physical_device:", ""), "type": d.device_type,
            **({"details": tf.config.experimental.get_device_details(d)} if d.device_type == "GPU" else {})}
           for d in tf.config.list_physical_devices()]
threads = {"intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
           "inter_op": tf.config.threading.get_inter_op_parallelism_threads()}
tf.reduce_sum(tf.ones([2, 2]))
print(json.dumps({"devices": devices, "threads": threads}, default=str))
"""


def describe(folder: Path | None = None) -> dict[str, Any]:
    """Return what `mnasnet doctor` shows. Free disk space is that of `folder`, by default the current folder."""
    found: dict[str, Any] = {
        "versions": {"mnasnet": mnasnet_cli.__version__, "python": platform.python_version()}
        | {name: package_version(name) for name in (*REQUIRED, *OPTIONAL)},
        "system": _system(),
        "cpu": _cpu(),
        "memory_gb": _memory(),
        "disk_free_gb": round(shutil.disk_usage(folder or Path.cwd()).free / 1e9, 1),
        "environment": {name: os.environ[name] for name in ENVIRONMENT_VARIABLES if name in os.environ},
        "nvidia_driver": Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None,
        "tensorflow": probe_tensorflow(),
    }
    return found | {"mend": find_problems(found)}


def host(packages: Iterable[str]) -> dict[str, Any]:
    """Return the facts to store with a measurement: system, processor, memory in GB, load, versions of `packages`."""
    return {
        "system": _system(),
        "cpu": _cpu(),
        "memory_gb": _memory()["total"],
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {"mnasnet": mnasnet_cli.__version__, "python": platform.python_version()}
        | {name: version for name in packages if (version := package_version(name)) is not None},
    }


def package_version(package: str) -> str | None:
    """Return the version of an installed Python package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def core_count() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_age() -> float:
    """Return the seconds since this process started; since this module was imported where there is no /proc."""
    fields = _read("/proc/self/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return time.monotonic() - _IMPORTED
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _system() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _cpu() -> dict[str, Any]:
    """Return the processor's name, its usable cores, and which of CPU_FEATURES it has."""
    text = _read("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    return {
        "name": name[1] if name else platform.processor() or platform.machine(),
        "cores": core_count(),
        "features": [feature for feature in CPU_FEATURES if feature in present],
    }


def _memory() -> dict[str, float | None]:
    """Return total and available memory in GB. If a container's limit is lower than the machine's memory, it counts."""
    sizes = {key: int(kilobytes) * 1024 for key, kilobytes in re.findall(r"(\w+):\s+(\d+) kB", _read("/proc/meminfo"))}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit() and total is not None and int(limit) < total:
        used = _read("/sys/fs/cgroup/memory.current").strip()
        total = int(limit)
        available = total - int(used) if used.isdigit() else available
    return {
        "total": round(total / 1e9, 1) if total else None,
        "available": round(available / 1e9, 1) if available else None,
    }


def available_memory() -> float | None:
    """Return the memory in bytes that programs can still take, within the container's limit; None if it is unknown."""
    available = _memory()["available"]
    return None if available is None else available * 1e9


def _read(path: str) -> str:
    """Return a file's text, "" if there is no such file (on other systems than Linux)."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def probe_tensorflow() -> dict[str, Any]:
    """Import TensorFlow in another process and return its devices and threads, or {"error": the reason}."""
    try:
        result = subprocess.run(
            [sys.executable, "-P", "-c", _TENSORFLOW_PROBE],  # -P: no modules of the current folder
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": f"importing it fails with {type(error).__name__}"}
    if result.returncode == 0:
        last = (result.stdout.splitlines() or [""])[-1]
        return validate(parse_json(last, "its output"), JsonObject, "its output")
    if result.returncode < 0:
        # Without AVX, TensorFlow aborts itself (SIGABRT) or the processor rejects an instruction (SIGILL).
        no_avx = result.returncode in (-signal.SIGABRT, -signal.SIGILL)
        reason = "; TensorFlow 2.21 needs a 64-bit processor with AVX" if no_avx else ""
        return {"error": f"importing it kills the process with signal {-result.returncode}{reason}"}
    lines = result.stderr.strip().splitlines()
    return {"error": lines[-1] if lines else f"exit code {result.returncode}"}


def find_problems(found: Mapping[str, Any]) -> list[str]:
    """Return what is wrong or slow on the machine that `describe` described, each with what to do about it."""
    problems = []
    missing = [name for name in REQUIRED if found["versions"][name] is None]
    if missing:
        problems.append(f"not installed: {', '.join(missing)}; run `pip install {' '.join(missing)}`")
    failure = found["tensorflow"].get("error")
    if failure and "tensorflow" not in missing:
        problems.append(
            f"TensorFlow cannot be used: {failure}; `{sys.executable} -P -c 'import tensorflow'` shows the full output"
        )
    devices = [device["type"] for device in found["tensorflow"].get("devices", [])]
    if found["nvidia_driver"] and devices and "GPU" not in devices:
        problems.append(f"an NVIDIA driver is installed, but TensorFlow finds no GPU; run `{install_command('gpu')}`")
    available = found["memory_gb"]["available"]
    if available is not None and available < MIN_MEMORY_GB:
        problems.append(f"only {available} GB of memory is available; train with a smaller --batch-size")
    if found["disk_free_gb"] < MIN_DISK_GB:
        problems.append(f"only {found['disk_free_gb']} GB is free on this disk; keep records and runs on another disk")
    variables, cores = found["environment"], found["cpu"]["cores"]
    if variables.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        problems.append("TF_ENABLE_ONEDNN_OPTS=0 makes training on a CPU about half as fast; unset it")
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        value = variables.get(name, "")
        if value.isdigit() and 0 < int(value) < cores:
            problems.append(f"{name}={value} leaves some of the {cores} cores idle; unset it")
    return problems
