"""What the team lead's page is made from: what environment variables name, checked."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraudnet.device.artifact import read_documents
from fraudnet.device.errors import ArtifactError
from fraudnet.device.keys import read_encryption_key
from fraudnet.errors import InputError
from fraudnet.evaluation.scores import read_scores
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.places import (
    DEFAULT_ARTIFACT,
    DEFAULT_DATABASE,
    DEFAULT_DEVICE_STORE,
    find_upwards,
)
from fraudnet.review.quality_page import Quality


def open_quality(environment: Mapping[str, str] = os.environ) -> Quality:
    """The page that environment variables name; relative paths as `find_upwards` has them.

    Args:
        environment: FRAUDNET_CASES, the case database, a path or a PostgreSQL URL
            (build/demo/reviews.sqlite if unset, then with the demo's artifact and device store);
            and, each left out if unset: FRAUDNET_ARTIFACT, the artifact's file;
            FRAUDNET_DEVICE_STORES, of devices, separated as in PATH, with the key of encrypted
            ones in FRAUDNET_ENCRYPTION_KEY; FRAUDNET_SCORES, a file that the training logged under
            scores/; FRAUDNET_GROUP, a column; FRAUDNET_BUDGET, alerts a day (the artifact's if
            unset).

    Raises:
        InputError: one of them is not there or cannot be used.
        DeviceInputError: a key is none, or no binding of SQLCipher is installed.
    """
    given = {name: value for name, value in environment.items() if value}
    if "FRAUDNET_CASES" not in given:
        given = _demo() | given
    named = given["FRAUDNET_CASES"]
    place = named if "://" in named else _found(named, "FRAUDNET_CASES")
    artifact, scores = (given.get(f"FRAUDNET_{name}") for name in ("ARTIFACT", "SCORES"))
    key = read_encryption_key(environment=given)
    stores = filter(None, given.get("FRAUDNET_DEVICE_STORES", "").split(os.pathsep))
    return Quality(
        CaseDatabase(place),
        _contract(_found(artifact, "FRAUDNET_ARTIFACT")) if artifact else None,
        tuple(
            DeviceStore(_found(each, "FRAUDNET_DEVICE_STORES"), encryption_key=key)
            for each in stores
        ),
        read_scores(_found(scores, "FRAUDNET_SCORES")) if scores else None,
        given.get("FRAUDNET_GROUP"),
        _budget(given.get("FRAUDNET_BUDGET")),
    )


def _demo() -> dict[str, str]:
    made = {"ARTIFACT": DEFAULT_ARTIFACT, "DEVICE_STORES": DEFAULT_DEVICE_STORE}
    there = {f"FRAUDNET_{name}": str(path) for name, path in made.items() if find_upwards(path)}
    return {"FRAUDNET_CASES": str(DEFAULT_DATABASE), **there}


def _found(name: str, variable: str) -> Path:
    path = find_upwards(Path(name))
    if path is None:
        raise InputError(
            f"{name}: no such file in {Path.cwd()} or above it; name it in the environment "
            f"variable {variable}"
        )
    return path


def _contract(path: Path) -> dict[str, Any]:
    try:
        documents = read_documents(path)
    except ArtifactError as error:
        raise InputError(str(error)) from error
    return dict(documents["contract.json"])


def _budget(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        budget = float(text)
    except ValueError:
        budget = -1.0
    if not 0 < budget < float("inf"):
        raise InputError(f"FRAUDNET_BUDGET is {text!r}; expected alerts a day, such as 30")
    return budget
