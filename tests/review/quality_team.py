"""A team's database of 300 cases: two devices, two artifacts, learning cases, two reviewers."""

import json
from pathlib import Path

import numpy as np

from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import Flag
from fraudnet.review.importing import add_flags
from fraudnet.review.verdicts import Given, append
from tests.review.conftest import DAY_US, HOSTILE, HOUR_US, START_US

THRESHOLD = 0.3
WEEKS = 8
NOW_US = START_US + (7 * WEEKS + 3) * DAY_US
REGIONS = ("north", "south", HOSTILE[0])
DRIVERS = ("amount", "counterparty", "category", HOSTILE[1])


def make_team(path: Path, cases: int = 300, seed: int = 5) -> CaseDatabase:
    """Each case is of one flag; the riskier half was judged, a third of it by both reviewers.

    Transactions for learning: one case in six, drawn at random with probability 0.05, or
    uncertain. From the fifth week on amounts are three times what they were.
    """
    rng = np.random.default_rng(seed)
    database = CaseDatabase(path, create=True, gap_hours=0)
    flags = [_flag(number, rng) for number in range(cases)]
    for device in ("phone-a", HOSTILE[4]):
        own = [flag for at, flag in enumerate(flags) if (at % 3 == 0) == (device == "phone-a")]
        add_flags(database, device, own)
    with database.write() as connection:
        query = (
            "SELECT case_id, flag_id, fraud_probability, opened_at_us FROM flags ORDER BY flag_id"
        )
        for case_id, flag_id, probability, opened_us in connection.exec_driver_sql(query).all():
            if rng.random() < 0.25:
                continue
            is_fraud = rng.random() < probability
            at_us = opened_us + int(rng.exponential(20) * HOUR_US)
            for reviewer in ("ana", "<b>ben</b>")[: 1 + (rng.random() < 0.33)]:
                verdict = "confirmed_fraud" if is_fraud else "false_positive"
                if rng.random() < 0.15:
                    verdict = "suspicious"
                at_us += HOUR_US
                given = Given(verdict, reviewer, at_us)
                append(connection, case_id, given, [flag_id], database.gap_us)
    return database


def _flag(number: int, rng: np.random.Generator) -> Flag:
    time_us = START_US + int(rng.integers(0, WEEKS * 7 * DAY_US))
    kind = ("random", "uncertain")[number // 6 % 2] if number % 6 == 5 else "flagged"
    low, high = {"flagged": (0.3, 1), "uncertain": (0.2, 0.3), "random": (0.0, 0.29)}[kind]
    probability = float(rng.uniform(low, high))
    late = time_us > START_US + WEEKS // 2 * 7 * DAY_US
    account = f"a-{number % 60}"
    category = str(rng.choice(["food", "fuel", HOSTILE[5]]))
    columns = {"category": category, "region": REGIONS[number % 3]}
    amount = round(float(rng.lognormal(4, 0.6)) * (3 if late else 1), 2)
    distance = float(rng.gamma(9, 0.5))
    entry = {
        "transaction_id": f"t-{number}", "timestamp_us": time_us, "counterparty_id": HOSTILE[3],
        "amount": amount, "columns": columns, "fraud_probability": probability,
        "ood_distance": distance,
    }  # fmt: skip
    reasons = [{"transaction_id": f"t-{number}", "field": str(rng.choice(DRIVERS)), "text": "x"}]
    return Flag(
        f"t-{number}", account, time_us, amount, HOSTILE[3], category, probability,
        distance, THRESHOLD, None, json.dumps(reasons), ("c" if late else "a") * 64,
        time_us + HOUR_US, json.dumps([entry]), kind,
        0.05 if kind == "random" else 1.0,
    )  # fmt: skip
