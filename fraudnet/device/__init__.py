"""Scoring on the device: numpy, one TFLite runtime and SQLite, nothing else.

Everything a program that scores needs is exported here; `fraudnet score` is a thin layer over it.
"""

from fraudnet.device.decisions import Decision, Held, Reason
from fraudnet.device.errors import (
    ArtifactError,
    ConflictError,
    DeviceInputError,
    StoreError,
    TransactionError,
)
from fraudnet.device.scorer import Options, Scorer
from fraudnet.device.transactions import Transaction, parse_transaction

__all__ = [
    "ArtifactError",
    "ConflictError",
    "Decision",
    "DeviceInputError",
    "Held",
    "Options",
    "Reason",
    "Scorer",
    "StoreError",
    "Transaction",
    "TransactionError",
    "parse_transaction",
]
