"""The Dockerfile and the files in deploy/, as far as they can be checked without Docker, Slurm and Kubernetes."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnasnet_cli.distributed.cluster import Cluster, read_cluster

INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD", "RUN", "USER"}


def _dockerfile(repo: Path) -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", (repo / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2]) for line in text.splitlines() if line.strip()]


def _project(repo: Path) -> dict[str, Any]:
    return tomllib.loads((repo / "pyproject.toml").read_text())


def test_the_stages_of_the_dockerfile_follow_from_each_other(repo: Path) -> None:
    found = _dockerfile(repo)
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    stages: list[str] = []
    for name, arguments in found:
        if name == "FROM":
            base, stage = re.fullmatch(r"(\S+) AS (\w+)", arguments).groups()  # type: ignore[union-attr]
            assert base in stages or re.fullmatch(r"python:3\.\d+-slim-\w+", base), base
            stages.append(stage)
        assert set(re.findall(r"\bfrom=(\w+)", arguments)) <= set(stages)
    assert {"cpu", "gpu"} <= set(stages)


def test_the_dockerfile_copies_what_the_package_is_built_of(repo: Path) -> None:
    sources = {word for name, arguments in _dockerfile(repo) if name == "COPY" for word in arguments.split()[:-1]}
    assert not {source for source in sources if not (repo / source).exists()}
    project = _project(repo)
    build = project["tool"]["hatch"]["build"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *build["packages"]}
    assert needed | set(build["targets"]["wheel"]["force-include"]) | {"constraints.txt"} == sources
    kept = {line[1:] for line in (repo / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == sources


def test_pip_in_the_dockerfile_agrees_with_the_project(repo: Path) -> None:
    project = _project(repo)["project"]
    commands = [arguments for name, arguments in _dockerfile(repo) if name == "RUN"]
    assert len(commands) == 2
    for command in commands:
        assert "pip install" in command
        assert "--constraint /src/constraints.txt" in command
        assert set(re.findall(r"/src\[(\w+)\]", command)) <= set(project["optional-dependencies"])
    assert "--constraint constraints.txt" in (repo / "Makefile").read_text()
    minors = {re.search(r":3\.(\d+)-", text)[1] for name, text in _dockerfile(repo) if text.startswith("python:")}  # type: ignore[index]
    assert all(f"Programming Language :: Python :: 3.{minor}" in project["classifiers"] for minor in minors)
    (entry,) = [arguments for name, arguments in _dockerfile(repo) if name == "ENTRYPOINT"]
    assert yaml.safe_load(entry) == list(project["scripts"])


def test_nvidias_libraries_are_pinned(repo: Path) -> None:
    pinned = re.findall(r"^(nvidia-[\w-]+)==", (repo / "constraints.txt").read_text(), re.MULTILINE)
    assert {"nvidia-cudnn-cu12", "nvidia-nccl-cu12", "nvidia-cuda-nvcc-cu12"} <= set(pinned)


def _kubernetes(repo: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    service, job = yaml.safe_load_all((repo / "deploy/kubernetes.yaml").read_text())
    return service, job


def test_the_kubernetes_objects_have_what_kubernetes_requires(repo: Path) -> None:
    service, job = _kubernetes(repo)
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    name, spec, pod = job["metadata"]["name"], job["spec"], job["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", spec["parallelism"])
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy requires it
    (container,) = pod["containers"]
    assert {"name", "image", "command", "args"} <= set(container)
    for rule in spec["podFailurePolicy"]["rules"]:
        assert rule["action"] in ("FailJob", "Ignore", "Count", "FailIndex")
        assert ("onExitCodes" in rule) != ("onPodConditions" in rule)
        assert rule.get("onExitCodes", {}).get("containerName") in (None, container["name"])
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert all(len(volume) == 2 for volume in pod["volumes"])  # its name and its kind
    assert all(isinstance(variable["value"], str) for variable in container["env"])
    ports = {port["containerPort"] for port in container["ports"]}
    assert ports == {port["port"] for port in service["spec"]["ports"]}


def _stub(folder: Path, *, code: int = 0) -> dict[str, str]:
    """An environment in which the programs `mnasnet`, `srun` and `scontrol` write down what they got."""
    program = folder / "mnasnet"
    program.write_text(f'#!/bin/sh\necho "$(basename "$0") $*"\necho "$TF_CONFIG" > "{folder}/config"\nexit {code}\n')
    program.chmod(0o755)
    for name in ("srun", "scontrol"):
        (folder / name).symlink_to(program)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize("index", [0, 1])
def test_the_kubernetes_pod_makes_its_tf_config(
    index: int, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _kubernetes(repo)[1]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert int(environment["WORKERS"]) == job["spec"]["completions"]
    out = subprocess.run(
        [*container["command"], *container["args"]],
        env=environment | {"JOB_COMPLETION_INDEX": str(index)} | _stub(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.startswith("mnasnet train-imagenet ")
    assert "--fresh" not in out
    monkeypatch.setenv("TF_CONFIG", (tmp_path / "config").read_text())
    assert read_cluster() == Cluster(tuple(f"mnasnet-train-{i}.mnasnet-train:2222" for i in (0, 1)), index)


@pytest.mark.parametrize(
    ("code", "count", "requeued"),
    [(0, "", False), (2, "", False), (137, "", True), (137, "4", True), (137, "5", False)],
)
def test_the_slurm_job_starts_again_after_a_lost_process(
    code: int, count: str, requeued: bool, repo: Path, tmp_path: Path
) -> None:
    result = subprocess.run(
        ["bash", repo / "deploy/slurm.sh", "--data", "records"],
        env=_stub(tmp_path, code=code)
        | {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4", "SLURM_RESTART_COUNT": count},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert re.match(r"srun .*mnasnet train-imagenet .*--data records\n", result.stdout)
    assert ("scontrol requeue 7" in result.stdout) == requeued
