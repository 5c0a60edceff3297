"""An artifact of version 1, made by an earlier fraudnet, is read as before."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fraudnet.cli import main
from fraudnet.device import Scorer, Transaction
from fraudnet.device.artifact import open_artifact, read_documents
from tests.artifact.hostile import CONTRACT, VECTORS, VERSION_1

DAY_US = 86_400_000_000


def test_it_is_what_that_fraudnet_wrote() -> None:
    with zipfile.ZipFile(VERSION_1) as tail:
        assert tail.comment == b""
    assert CONTRACT["format_version"] == 1
    assert VERSION_1.stat().st_size < 40_000


def test_it_is_opened() -> None:
    assert open_artifact(VERSION_1).contract.window_length == 29
    assert read_documents(VERSION_1) == {"contract.json": CONTRACT, "vectors.json": VECTORS}


def test_it_is_verified_and_inspected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", "ai_edge_litert")
    assert main(["artifact", "verify", str(VERSION_1)]) == 0
    assert "answers all 15 test vectors" in capsys.readouterr().out
    assert main(["artifact", "inspect", str(VERSION_1), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == CONTRACT


def test_it_scores_what_its_vectors_say(tmp_path: Path) -> None:
    """Those of one transaction of whose counterparty nothing is known."""
    alone = [v["inputs"] for v in VECTORS if sum(v["inputs"]["valid"]) == 1]
    expected = [v["outputs"] for v in VECTORS if sum(v["inputs"]["valid"]) == 1]
    assert len(alone) == 2
    with Scorer(VERSION_1, tmp_path / "cases.sqlite") as scorer:
        for i, (inputs, outputs) in enumerate(zip(alone, expected, strict=True)):
            decision = scorer.score(transaction(i, {n: values[-1] for n, values in inputs.items()}))
            assert decision.probability == pytest.approx(outputs["fraud_probability"], abs=1e-5)
            assert decision.ood_distance == pytest.approx(outputs["ood_distance"], rel=1e-4)


def transaction(number: int, inputs: dict[str, Any]) -> Transaction:
    return Transaction(
        transaction_id=f"t{number}",
        account_id=f"a{number}",
        timestamp_us=inputs["day"] * DAY_US + inputs["second"] * 1_000_000,
        counterparty_id=None,
        amount=inputs["amount"],
        columns={
            "category": CONTRACT["inputs"][4]["vocabulary"][inputs["category"] - 1],
            "distance": inputs["distance"],
        },
    )
