"""The device part needs numpy and one TFLite runtime, either of the two, and nothing else."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fraudnet.device.runtime import RUNTIMES
from tests.device.conftest import command_line
from tests.device.test_command import STREAM, as_lines

# Lets through the standard library, numpy, one runtime and the package's own device part.
BLOCK = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        ours = top != "fraudnet" or name == top or name.split(".")[1] == "device"
        if not ours or top not in sys.stdlib_module_names | {"fraudnet", "numpy", RUNTIME}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Guard())
"""


def answers(artifact: Path, folder: Path, runtime: str) -> list[dict[str, object]]:
    store, text = folder / f"{runtime}.sqlite", folder / "input.jsonl"
    text.write_text(as_lines(STREAM))
    before = BLOCK.replace("RUNTIME", repr(runtime))
    done = subprocess.run(
        command_line("--artifact", artifact, "--store", store, text, before=before),
        env=os.environ | {"FRAUDNET_TFLITE_RUNTIME": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(
    not all(find_spec(name) for name in RUNTIMES), reason="only one TFLite runtime is installed"
)
def test_both_runtimes_give_the_same_decisions(artifact: Path, tmp_path: Path) -> None:
    one, other = (
        answers(artifact, tmp_path, name) for name in ("ai_edge_litert", "tflite_runtime")
    )
    assert len(one) == len(other) == len(STREAM)
    for a, b in zip(one, other, strict=True):
        assert a["transaction_id"] == b["transaction_id"]
        assert a["flagged"] == b["flagged"]
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-6)
        assert a["ood_distance"] == pytest.approx(b["ood_distance"], rel=1e-6)


def test_the_guard_blocks() -> None:
    for name in ("tensorflow", "pandas", "mlflow", "pyarrow", "pydantic", "fraudnet.errors"):
        program = BLOCK.replace("RUNTIME", "'tflite_runtime'") + f"import {name}"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert f"ModuleNotFoundError: {name} is blocked" in done.stderr
