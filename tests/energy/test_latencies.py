import json
from pathlib import Path

import pytest

from fraudnet.energy.latencies import read_latency
from fraudnet.errors import InputError

# As benchmark_model prints it; on Android each line has a prefix.
LOG = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [1]
INFO: Graph: [fraud.tflite]
INFO: #threads used for CPU inference: [1]
INFO: Loaded model fraud.tflite
INFO: Initialized session in 5.579ms.
INFO: count=41 first=14911 curr=12090 min=11923 max=14911 avg=12216.5 std=447

INFO: count=4081 first=251 curr=243 min=238 max=1566 avg=244.27 std=25 p5=238 median=239 p95=247

INFO: Inference timings in us: Init: 5579, First inference: 14911, Warmup (avg): 12216.5, Inference\
 (avg): 244.27
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
"""
BENCH = {
    "single": [
        {"runtime": "ai_edge_litert", "threads": 1, "p50_us": 62.5},
        {"runtime": "ai_edge_litert", "threads": 2, "p50_us": 40},
        {"runtime": "tflite_runtime", "threads": 1, "p50_us": 75},
    ]
}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "latency"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "log", [LOG, LOG.replace("INFO: ", "I tflite  : "), LOG.replace("244.27", "2.4427e+02")]
)
def test_the_mean_of_benchmark_model(tmp_path: Path, log: str) -> None:
    path = written(tmp_path, log)
    latency = read_latency(path)
    assert latency.latency_us == 244.27
    assert latency.source == f"benchmark_model, mean: {path}"


def test_the_median_of_a_runtime(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(BENCH))
    assert read_latency(path, "tflite_runtime").latency_us == 75
    alone = written(tmp_path, json.dumps({"single": BENCH["single"][:2]}))
    assert read_latency(alone).latency_us == 62.5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Inference timings", "Timings", "is it the whole log"),
        ("Num threads: [1]", "Num threads: [4]", "run on 4 threads"),
        ("Num threads: [1]", "Use gpu: [1]", "run with gpu"),
        ("avg): 244.27", "avg): 0", "must be a number of microseconds, got '0'"),
        ("STARTING!", "Inference timings in us: Init: 1, Inference (avg): 2", "holds 2 runs"),
    ],
)
def test_logs_that_say_nothing_of_one_core_are_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in LOG
    with pytest.raises(InputError) as caught:
        read_latency(written(tmp_path, LOG.replace(old, new)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "runtime", "says"),
    [
        ("{", None, "not JSON"),
        ("{}", None, "no list 'single'"),
        (json.dumps({"single": []}), None, "measured on one thread: none"),
        (json.dumps(BENCH), None, "give --runtime, one of"),
        (json.dumps(BENCH), "onnx", "no latency of 'onnx' on one thread; there are: ai_edge"),
        (json.dumps(BENCH).replace("62.5", '"fast"'), "ai_edge_litert", "got 'fast'"),
    ],
)
def test_wrong_json_is_refused(tmp_path: Path, text: str, runtime: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_latency(written(tmp_path, text), runtime)
    assert says in str(caught.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: cannot read it"):
        read_latency(tmp_path / "none")
    (tmp_path / "model.tflite").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not text"):
        read_latency(tmp_path / "model.tflite")
