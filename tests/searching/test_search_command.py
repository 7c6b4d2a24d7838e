import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from searched import SIZE, result_of, write_phone_results

from mnasnet_cli.config.net_table import read_net
from mnasnet_cli.errors import Stopped


@pytest.fixture
def search(mnasnet, many_shapes, phone, tmp_path, monkeypatch):
    """A function that runs `mnasnet search`, with scores that are a function of the task."""
    monkeypatch.setattr("mnasnet_cli.searching.worker.perform", result_of)
    settings = ["--config=quick", "--set=data.eval_scale=1", f"--image-size={SIZE}"]

    def run(*flags, run_dir=tmp_path / "run", new=True):
        begun = ["--data", many_shapes, "--android-results", phone, *settings] if new else []
        return mnasnet("search", *begun, "--run-dir", run_dir, *flags)

    return run


def test_a_search_writes_nets_a_front_a_picture_and_a_page(search, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = search("--latency", "4ms", "--candidates", 4)
    assert result.code == 0, result.err
    run = tmp_path / "run"
    assert {"net-01.yaml", "net-02.yaml", "net-03.yaml", "front.json", "front.png", "card.html"} <= {
        path.name for path in run.iterdir()
    }
    (front,) = json.loads((run / "front.json").read_text())["fronts"]
    net = read_net(run / "net-01.yaml")
    assert net.name == "net-01"
    assert front["nets"][0]["params"] > 0
    assert re.search(r"net-01 .* ±", result.out)
    assert front["verdict"] in result.out
    run_of_the_net = f"{run}/trained-4ms"
    assert re.search(rf"mnasnet train-imagenet --variant .* --run-dir {run_of_the_net}\n", result.out)
    assert f"mnasnet export {run_of_the_net} --format tflite --data" in result.out
    assert f"mnasnet benchmark {run_of_the_net}/export/tflite --android {run}/phone\n" in result.out
    page = (run / "card.html").read_text()
    assert "<svg" in page
    assert "Acme Phone 5" in page
    assert max(len(line) for line in result.out.splitlines() if "│" in line or "┃" in line) <= 80


def test_what_is_decided_is_said(search):
    err = search("--latency", "4ms", "--candidates", 6).err
    assert re.search(
        r"6 drawn nets and the stock nets within 4 ms on Acme Phone 5; rungs of 3 epochs at 32 px, 10 ", err
    )
    assert re.search(r"4 ms, after 3 epochs: 3 of 6 nets go on, \d had a second seed; best n\d+", err)


def test_json_is_the_front(search, tmp_path):
    result = search("--latency", "4ms", "--candidates", 2, "--json")
    found = json.loads(result.out)
    assert found.pop("run_dir") == str(tmp_path / "run")
    assert found == json.loads((tmp_path / "run" / "front.json").read_text())


def test_several_limits_have_a_front_each(search, tmp_path):
    result = search("--latency", "4ms", "--latency", "9ms", "--candidates", 2)
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "run" / "front.json").read_text())
    assert [front["limit_ms"] for front in found["fronts"]] == [4.0, 9.0]
    names = [row["file"] for front in found["fronts"] for row in front["nets"] if row["file"]]
    assert sorted(names) == [f"net-{number:02d}.yaml" for number in range(1, 5)]


def test_a_stopped_search_goes_on_with_the_same_end(search, tmp_path, monkeypatch):
    assert search("--latency", "4ms", "--candidates", 4, run_dir=tmp_path / "whole").code == 0
    left = [3]

    def stops(task, plan, place):
        left[0] -= 1
        if left[0] < 0:
            raise Stopped("stopped by SIGTERM; what is done is kept; the same command goes on")
        return result_of(task)

    monkeypatch.setattr("mnasnet_cli.searching.worker.perform", stops)
    stopped = search("--latency", "4ms", "--candidates", 4)
    assert stopped.code == 143
    assert "the same command goes on" in stopped.err
    assert not (tmp_path / "run" / "front.json").exists()
    monkeypatch.setattr("mnasnet_cli.searching.worker.perform", result_of)
    resumed = search(new=False)
    assert resumed.code == 0, resumed.err
    assert "resuming: 3 trainings of about" in resumed.err
    assert (tmp_path / "run" / "front.json").read_bytes() == (tmp_path / "whole" / "front.json").read_bytes()
    again = search(new=False)
    assert again.code == 0
    assert "net-01" in again.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--latency", "soon"], "--latency 'soon' is no latency; expected one such as 3ms"),
        (["--latency", "1us"], "no net has a latency of 0.001 ms here: expected"),
        ([], "--latency is missing"),
        (["--latency", "4ms", "--budget", "5"], "--budget '5' is no duration"),
        (["--latency", "4ms", "--budget", "1m"], "--budget 1 min 00 s is too short"),
        (["--latency", "4ms", "--init", "nowhere"], "no model at nowhere"),
        (["--latency", "4ms", "--storage", "sqlite:///search.db"], "expected a folder, or a URL that begins with"),
    ],
)
def test_what_contradicts_is_one_line(search, flags, said):
    result = search(*flags)
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err


def test_android_and_its_results_exclude_each_other(search, tmp_path):
    result = search("--android", tmp_path / "nets")
    assert result.code == 2
    assert "use one of them" in result.err


# When a search is killed: so many trainings have a result, and the one that runs has written this file.
KILLS = (
    (0, "config.yaml", signal.SIGKILL),  # the first training has begun
    (1, "metrics.jsonl", signal.SIGTERM),  # steps of the first rung
    (2, "checkpoints/*.index", signal.SIGKILL),  # the mutation has a checkpoint
    (4, "metrics.jsonl", signal.SIGKILL),  # steps of the last rung
    (8, "results.json", signal.SIGTERM),  # the last net is trained, and is being scored on the validation split
)


def _kill(process: subprocess.Popen[bytes], run: Path, results: int, file: str, number: int) -> None:
    """Kill a search, which must not be at its end, when it is so far."""
    while process.poll() is None:
        done = {path.stem for path in run.glob("results/train-*.json")}
        running = [path for path in run.glob("trainings/*") if f"train-{path.name}" not in done]
        if len(done) >= results and any(list(path.glob(file)) for path in running):
            process.send_signal(number)
            break
        time.sleep(0.05)
    assert process.wait() == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143}[number]


@pytest.mark.slow
def test_a_real_search_that_is_killed_has_the_same_front(many_shapes, tmp_path):
    """Nine real trainings of two drawn nets and a stock net in two rungs, killed at five places; and at the same time
    once undisturbed. The nets have three blocks; see small_search.py."""
    phone = write_phone_results(tmp_path / "phone")
    settings = ["data.eval_scale=1", "training.epochs=4", "training.batch_parts=1", "optimizer.name=sgd"]
    flags = ["--config=quick", "--latency=0.4ms", "--candidates=2", f"--image-size={SIZE}", f"--data={many_shapes}"]
    flags += [f"--android-results={phone}", *(f"--set={one}" for one in settings)]

    def start(run_dir: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, Path(__file__).with_name("small_search.py"), "search", *flags]
        command.append(f"--run-dir={run_dir}")
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    whole, run = start(tmp_path / "whole"), tmp_path / "killed"
    for kill in KILLS:
        _kill(start(run), run, *kill)
    assert start(run).wait() == whole.wait() == 0
    assert (run / "front.json").read_bytes() == (tmp_path / "whole" / "front.json").read_bytes()
