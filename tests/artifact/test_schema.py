"""The JSON Schema of the contract: what is exported fits, what the reader refuses does not."""

import copy
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fraudnet.device import ArtifactError
from fraudnet.device.artifact import read_documents
from fraudnet.device.contract import FORMAT_VERSION
from tests.artifact.hostile import CONTRACT, MODEL
from tests.artifact.hostile import parts as parts_of
from tests.device.conftest import contract, with_tail
from tests.training.world import World

SCHEMA = json.loads(files("fraudnet.artifact").joinpath("contract.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
ODD: tuple[object, ...] = (None, True, -1, 2**40, 1.5, "x", [], {}, [[]], [None], {"name": "x"})
WITHOUT_DIGEST = {key: value for key, value in CONTRACT.items() if key != "model_sha256"}
Place = tuple[str | int, ...]

# What of the contract the reader acts on, an input of each kind.
READ = (
    "format", "format_version", "signature", "tolerance", "window_length", "inputs", "outputs",
    "threshold", "reputation", "sentinel",
)  # fmt: skip


def test_it_is_a_schema_of_the_version_that_is_written() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert FORMAT_VERSION in SCHEMA["properties"]["format_version"]["enum"]


@pytest.mark.xdist_group("trained")
def test_an_exported_contract_fits(world: World) -> None:
    VALIDATOR.validate(parts_of(world.artifact)[1])


def test_contracts_of_version_1_and_of_the_tests_fit() -> None:
    VALIDATOR.validate(CONTRACT)
    VALIDATOR.validate(contract() | {"model_sha256": "0" * 64})


def places(document: object, before: Place = ()) -> Iterator[Place]:
    """All keys and places that the reader may look at, from the top."""
    found: list[tuple[str | int, object]] = []
    if isinstance(document, dict):
        found = list(document.items())
    if isinstance(document, list) and len(document) < 12:
        found = list(enumerate(document))
    for key, value in found:
        if before or key in READ:
            yield (*before, key)
            yield from places(value, (*before, key))


def spoiled(document: dict[str, Any]) -> Iterator[tuple[Place, object, dict[str, Any]]]:
    """The contract with one key left out, or of an odd value, everywhere."""
    short = copy.deepcopy(document)
    short["inputs"][4]["vocabulary"] = ["food", "fuel"]
    del short["inputs"][8:]
    for place in places(short):
        for odd in (*ODD, "left out"):
            made = copy.deepcopy(short)
            inner: Any = made
            for key in place[:-1]:
                inner = inner[key]
            if odd == "left out":
                del inner[place[-1]]
            else:
                inner[place[-1]] = odd
            yield place, odd, made


@pytest.mark.parametrize("of", [WITHOUT_DIGEST, contract()], ids=["version 1", "of the tests"])
def test_what_the_reader_refuses_for_its_shape_does_not_fit(
    of: dict[str, Any], tmp_path: Path
) -> None:
    model = MODEL[:8]
    fitting: list[tuple[Place, object, str]] = []
    refused: list[Place] = []
    for i, (place, odd, document) in enumerate(spoiled(of)):
        # It says no more than that this is a string: which one follows from the inputs.
        if place == ("reputation", "key") and isinstance(odd, str):
            continue
        path = tmp_path / f"{i}.tflite"
        path.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": [1]}))
        try:
            read_documents(path)
        except ArtifactError as error:
            if VALIDATOR.is_valid(document | {"model_sha256": "0" * 64}):
                fitting.append((place, odd, str(error)))
            refused.append(place)
    assert fitting == []
    assert len(refused) > 300
