"""The script that times the TFLite files beside it on a phone; @THREADS@, @ROUNDS@ and @RUNS@ are filled in."""

from __future__ import annotations

SCRIPT = """\
#!/bin/sh
# Times the TFLite files beside this script on an Android phone, in rounds, with TensorFlow's benchmark_model:
#
#     ./run.sh                 then, on the computer, mnasnet benchmark --android-results THIS_FOLDER
#
# It takes adb, a phone with USB debugging switched on, and the tool, which is not part of this folder: download
# android_aarch64_benchmark_model (a "native benchmark binary" of https://developers.google.com/edge/litert/models/measurement)
# as benchmark_model into this folder, or say where it is with BENCHMARK_MODEL=PATH.
set -eu
cd "$(dirname "$0")"
adb=${ADB:-adb}
tool=${BENCHMARK_MODEL:-./benchmark_model}
threads=${THREADS:-@THREADS@}
rounds=${ROUNDS:-@ROUNDS@}
runs=${RUNS:-@RUNS@}  # of each model in each round
phone=/data/local/tmp/mnasnet-benchmark

if [ ! -f "$tool" ]; then
    echo "there is no $tool: see the head of this script for where to get it" >&2
    exit 2
fi
"$adb" wait-for-device
"$adb" shell "rm -rf $phone && mkdir -p $phone" </dev/null
"$adb" push "$tool" "$phone/benchmark_model" >/dev/null
"$adb" shell "chmod 755 $phone/benchmark_model" </dev/null
for model in models/*.tflite; do
    "$adb" push "$model" "$phone/" >/dev/null
done
rm -rf results
mkdir results
for property in ro.product.manufacturer ro.product.model ro.board.platform ro.build.version.release; do
    echo "$property=$("$adb" shell getprop $property </dev/null | tr -d '\\r')"
done >results/device.txt
failed=""
round=1
while [ "$round" -le "$rounds" ]; do
    mkdir "results/round-$round"
    for model in models/*.tflite; do
        name=$(basename "$model" .tflite)
        echo "round $round of $rounds: $name" >&2
        # One that fails, such as for want of memory, doesn't keep the others from their turns.
        if ! "$adb" shell "$phone/benchmark_model --graph=$phone/$name.tflite --num_threads=$threads --num_runs=$runs \\
            --warmup_runs=10 --use_xnnpack=true --report_peak_memory_footprint=true" \\
            </dev/null >"results/round-$round/$name.txt" 2>&1; then
            echo "    it failed: $(tail -n 1 "results/round-$round/$name.txt")" >&2
            failed="$failed $round/$name"
        fi
    done
    round=$((round + 1))
done
"$adb" shell "rm -rf $phone" </dev/null || true
if [ -n "$failed" ]; then
    echo "failed (round/model):$failed; what the tool said is in results/round-*/*.txt" >&2
    echo "mnasnet benchmark --android-results $(pwd) shows the others" >&2
    exit 1
fi
echo "done; mnasnet benchmark --android-results $(pwd) shows the table" >&2
"""
