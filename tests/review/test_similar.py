import math

import numpy as np
import pytest

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.erasure import forget_account
from fraudnet.review.similar import MEASURES, SimilarCases, measure, squared_differences
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import START_US

HOUR_US = 3_600_000_000


def entry(
    hours: float, amount: float, counterparty: str, category: str | None
) -> dict[str, object]:
    return {
        "timestamp_us": START_US + round(hours * HOUR_US), "amount": amount,
        "counterparty_id": counterparty, "columns": {"category": category},
        "fraud_probability": 0.8, "ood_distance": 3.0,
    }  # fmt: skip


def test_measures_are_what_they_are_called() -> None:
    window = [
        entry(0, 10, "a", "food"), entry(40, 30, "b", "food"), entry(53, 20, "a", "fuel"),
        entry(54, 200, "a", "food"),
    ]  # fmt: skip
    found = dict(zip(MEASURES, measure(window), strict=True))
    del found["time of day"]  # of two, the sine and the cosine below
    assert found == pytest.approx(
        {
            "amount": math.log(200), "amount against usual": math.log(10),
            "gap": math.log1p(3600), "pace": math.log(3), "counterparty": 2 / 3,
            "category": 2 / 3, "score": math.log(4), "distance": 3.0,
        }
    )  # fmt: skip
    assert measure(window)[4:6] == pytest.approx([1.0, 0.0], abs=1e-9)  # 6 o'clock


def test_unknown_measures_count_as_one_deviation_and_scale_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    own, others = generator.normal(size=3), generator.normal(size=(20, 3))
    others[3, 1] = np.nan
    squared = squared_differences(own, others)
    assert squared[3, 1] == 1.0
    scale = np.array([1.0, 100.0, 1e-3])
    np.testing.assert_allclose(squared_differences(own * scale, others * scale), squared)
    column = np.append(own[0], others[:, 0])
    np.testing.assert_allclose(squared[:, 0], ((others[:, 0] - own[0]) / column.std()) ** 2)


def test_the_nearest_are_decided_cases_and_a_copy_comes_first(database: CaseDatabase) -> None:
    similar = SimilarCases(database)
    assert similar.nearest(12).empty
    for case_id in (3, 8, 17, 25):
        record_verdict(database, case_id, "suspicious", "ana")
    record_verdict(database, 3, "undecided", "ana")
    with database.write() as connection:
        copied = "(SELECT window_json FROM flags WHERE case_id = 12)"
        connection.exec_driver_sql(f"UPDATE flags SET window_json = {copied} WHERE case_id = 17")
    nearest = SimilarCases(database).nearest(12)
    assert set(nearest["case_id"]) == {8, 17, 25}
    assert (nearest["case_id"][0], nearest["difference"][0]) == (17, 0.0)
    assert nearest["difference"].is_monotonic_increasing
    amounts = list_cases(database).set_index("case_id")["amount"]
    assert nearest["amount"][1] == amounts[int(nearest["case_id"][1])]


def test_an_erased_window_is_like_nothing(database: CaseDatabase) -> None:
    record_verdict(database, 8, "suspicious", "ana")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE flags SET window_json = '[]' WHERE case_id = 8")
    nearest = SimilarCases(database).nearest(12)
    amount = list_cases(database).set_index("case_id")["amount"][8]
    assert (nearest["difference"].tolist(), nearest["amount"].tolist()) == ([1.0], [amount])


@pytest.mark.parametrize("window", ["x", "[1]", '"a"', "[{}]", '[{"columns": null}]', "{"])
def test_a_damaged_window_is_like_nothing(database: CaseDatabase, window: str) -> None:
    record_verdict(database, 8, "suspicious", "ana")
    with database.write() as connection:
        statement = f"UPDATE flags SET window_json = '{window}' WHERE case_id = 8"
        connection.exec_driver_sql(statement)
    assert SimilarCases(database).nearest(12)["difference"].tolist() == [1.0]


def test_of_a_case_that_is_erased_while_it_is_looked_at_nothing_is_compared(
    database: CaseDatabase,
) -> None:
    record_verdict(database, 1, "suspicious", "ana")
    similar = SimilarCases(database)
    assert len(similar.nearest(13)) == 1
    forget_account(database, "a-3")
    with pytest.raises(InputError, match="case 13: its history was erased"):
        similar.nearest(13)
