"""Transactions that an artifact can read, made up where there are none to measure with."""

from collections.abc import Iterator

import numpy as np

from fraudnet.device.contract import Contract
from fraudnet.device.transactions import Scalar, Transaction

FIRST_US = 1_735_689_600_000_000  # 2025-01-01
_BETWEEN_US = 60_000_000


def made_up(
    contract: Contract, accounts: int, count: int, seed: int, first: int = 0
) -> Iterator[Transaction]:
    """Transactions of some accounts in turn, one a minute, with what the contract reads.

    Amounts are log-normal, numeric columns normal, categories drawn from the vocabulary: what they
    are matters to how often a case is opened, and to no other time.

    Args:
        contract: of the artifact.
        accounts: how many.
        count: of transactions.
        seed: of the draws.
        first: number of the first transaction; ids and times go on from there.
    """
    rng = np.random.default_rng([seed, first])
    for number in range(first, first + count):
        columns: dict[str, Scalar] = {}
        for entry in contract.inputs:
            if entry.kind == "numeric":
                columns[entry.column] = float(rng.normal())
            elif entry.kind == "categorical" and entry.vocabulary:
                columns[entry.column] = str(rng.choice(entry.vocabulary))
        yield Transaction(
            transaction_id=f"bench-{number}",
            account_id=f"account-{number % accounts}",
            timestamp_us=FIRST_US + number * _BETWEEN_US,
            counterparty_id=f"counterparty-{rng.integers(1000)}",
            amount=float(np.round(rng.lognormal(3.0, 1.0), 2)),
            columns=columns,
        )
