"""300 cases such as a bank's week has them, made in seconds: nothing is trained or scored."""

import json
import math
import random
from itertools import count
from pathlib import Path
from typing import Any

from fraudnet.device.transactions import DAY_US
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import Flag
from fraudnet.review.importing import add_flags
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import HOSTILE, START_US

CASES, BEFORE, THRESHOLD = 300, 90, 0.3
SHA256 = "5e" * 32
CATEGORIES = ("groceries", "restaurant", "fuel", "online", "travel", None)
# kind of fraud: transactions in a row, seconds between them, times the usual amount
KINDS: dict[str, tuple[int, float, float]] = {
    "lost or stolen card": (5, 2_000, 6.0), "account takeover": (3, 400, 3.0),
    "card testing": (8, 30, 0.05), "mule account": (4, 200, 4.0), "": (1, 40_000, 8.0),
}  # fmt: skip


def make_many_cases(place: Path) -> CaseDatabase:
    """A database of `CASES` cases; every fifth is decided, and some of the texts are markup.

    Args:
        place: of the SQLite file that is made.
    """
    seed, numbers = random.Random(5), count()
    kinds = [seed.choice(list(KINDS)) for _ in range(CASES)]
    flags = [
        flag for number, kind in enumerate(kinds) for flag in _flags(number, kind, seed, numbers)
    ]
    database = CaseDatabase(place, create=True)
    now_us = START_US + 9 * DAY_US
    assert add_flags(database, "phone", flags, now_us=now_us).flags == len(flags)
    for case_id in range(5, CASES + 1, 5):
        kind = kinds[case_id - 1]
        verdict = "confirmed_fraud" if kind else seed.choice(["false_positive", "suspicious"])
        reviewer = seed.choice(["ana", "ben"])
        record_verdict(database, case_id, verdict, reviewer, "seen", kind=kind, now_us=now_us)
    return database


def _flags(number: int, kind: str, seed: random.Random, numbers: "count[int]") -> list[Flag]:
    """Of one account: its usual days, then what was flagged."""
    usual = math.exp(seed.gauss(3.2, 0.6))
    shops = [f"C{seed.randrange(900):04d}" for _ in range(7)]
    time_us = START_US - 60 * DAY_US + number * DAY_US // 50
    window: list[dict[str, Any]] = []
    for _ in range(BEFORE):
        time_us += int(seed.expovariate(1 / (0.6 * DAY_US)))
        window.append(_entry(next(numbers), time_us, usual, seed, seed.choice(shops[:5])))
    flags = []
    length, gap_s, times = KINDS[kind]
    for _ in range(length):
        time_us += int(seed.uniform(0.5, 1.5) * gap_s * 1e6)
        shop = seed.choice(HOSTILE) if number % 10 == 3 else seed.choice(shops[5:])
        entry = _entry(next(numbers), time_us, usual * times, seed, shop, flagged=True)
        window.append(entry)
        account = HOSTILE[0] if number == 53 else f"A{number:06d}"
        flags.append(_flag(account, window, seed))
    return flags


def _entry(
    number: int, time_us: int, usual: float, seed: random.Random, shop: str, flagged: bool = False
) -> dict[str, Any]:
    probability = seed.betavariate(6, 2) if flagged else seed.betavariate(1, 40)
    return {
        "transaction_id": f"T{number:09d}",
        "timestamp_us": time_us,
        "counterparty_id": shop,
        "amount": round(usual * math.exp(seed.gauss(0, 0.5)), 2),
        "columns": {"category": seed.choice(CATEGORIES), "place": f"P{seed.randrange(9)}"},
        "reputation": {},
        "fraud_probability": max(probability, THRESHOLD) if flagged else probability,
        "ood_distance": seed.gammavariate(9, 1.2 if flagged else 0.5),
    }


def _flag(account: str, window: list[dict[str, Any]], seed: random.Random) -> Flag:
    newest = window[-1]
    fields = seed.sample(["amount", "time", "category", "reputation"], 3)
    reasons = [
        {
            "transaction_id": newest["transaction_id"], "field": field,
            "probability_without": newest["fraud_probability"] * share,
            "text": f"{field} of this transaction",
        }
        for field, share in zip(fields, (0.2, 0.5, 0.8), strict=True)
    ]  # fmt: skip
    return Flag(
        transaction_id=newest["transaction_id"], account_id=account,
        timestamp_us=newest["timestamp_us"], amount=newest["amount"],
        counterparty_id=newest["counterparty_id"], category=newest["columns"]["category"],
        fraud_probability=newest["fraud_probability"], ood_distance=newest["ood_distance"],
        threshold=THRESHOLD, familiar=newest["ood_distance"] < 15, reasons=json.dumps(reasons),
        artifact_sha256=SHA256, opened_at_us=newest["timestamp_us"] + 60_000_000,
        window_json=json.dumps(window),
    )  # fmt: skip
