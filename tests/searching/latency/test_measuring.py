import time

import numpy as np
import pytest

from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.searching.latency.measuring import convert_nets, measure_files, measure_parts, time_in_turns
from mnasnet_cli.searching.latency.parts import Part, parts_of
from mnasnet_cli.searching.plan import table_of


def _work(count):
    values = np.ones(count)

    def call():
        values.sum()

    return call


def test_calls_are_timed_in_their_processor_time():
    (short, long), busy = time_in_turns([_work(200_000), _work(2_000_000)], threads=1)
    assert 4 < long / short < 25
    assert busy > 0.9


def test_waiting_counts_only_with_several_threads():
    (waited,), _ = time_in_turns([lambda: time.sleep(0.01)], threads=2)
    (worked,), busy = time_in_turns([lambda: time.sleep(0.01)], threads=1)
    assert waited >= 0.01
    assert worked < 0.005
    assert busy > 2


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_parts_are_converted_and_measured(int8):
    stem, block, *_, head = parts_of(get_spec("a1", 0.1), 32)
    found = measure_parts([stem, block, head], 10, 1, int8)
    assert len(found["ms"]) == 3
    assert all(0 <= one < 20 for one in found["ms"])


def test_squeeze_excites_that_random_weights_would_switch_off_are_measured_in_int8():
    """XNNPACK rejects a file with a tensor that was 0 on all calibration images."""
    narrow = Part("block", 16, 8, 16, kernel=3, stride=2, expand=6, squeeze=1)
    found = measure_parts([narrow] * 6, 10, 1, int8=True)
    assert len(found["ms"]) == 6


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_whole_nets_are_converted_and_measured(tmp_path, int8):
    tables = [(table_of(get_spec("b1", width), "net"), 32) for width in (0.1, 0.5)]
    found = measure_files(convert_nets(tables, 10, int8, tmp_path), threads=1)
    assert 0 < found["ms"][0] < found["ms"][1]
