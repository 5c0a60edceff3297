import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fraudnet.errors import InputError
from fraudnet.transactions.simulated_fraud import COMPROMISED_DAYS, FRAUD_KINDS
from fraudnet.transactions.simulated_population import FAVOURITES
from fraudnet.transactions.simulator import SimulatorConfig, simulate

KINDS = {
    "account_takeover",
    "card_testing",
    "compromised_counterparty",
    "high_amount",
    "mule_burst",
    "stolen_card",
}
SCHEMA = pa.schema(
    {
        "transaction_id": pa.string(),
        "timestamp": pa.timestamp("us", "UTC"),
        "account_id": pa.string(),
        "counterparty_id": pa.string(),
        "amount": pa.float64(),
        "category": pa.string(),
        "place": pa.string(),
        "is_fraud": pa.int8(),
        "fraud_kind": pa.string(),
    }
)
SMALL = SimulatorConfig(accounts=400, counterparties=500, days=60, seed=3)


@pytest.fixture(scope="module")
def small() -> pa.Table:
    return simulate(SMALL)


@pytest.fixture(scope="module")
def whole() -> pa.Table:
    return simulate(SimulatorConfig())


def column(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table[name].to_numpy()
    return values


def codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Equal numbers for equal values."""
    encoded = table[name].combine_chunks().dictionary_encode()
    numbers: NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
    return numbers


def seconds(table: pa.Table) -> NDArray[np.int64]:
    microseconds: NDArray[np.int64] = table["timestamp"].cast(pa.int64()).to_numpy()
    return microseconds // 1_000_000


def test_schema_and_order(small: pa.Table) -> None:
    assert small.schema == SCHEMA
    assert np.all(np.diff(seconds(small)) >= 0)
    assert [c for c in small.column_names if small[c].null_count] == ["fraud_kind"]


def test_amounts_are_positive_and_in_cents(small: pa.Table) -> None:
    amount = column(small, "amount")
    assert np.all(np.isfinite(amount) & (amount > 0))
    assert np.array_equal(amount, amount.round(2))


def test_transaction_ids_are_unique_and_follow_time(small: pa.Table) -> None:
    ids = small["transaction_id"].to_pylist()
    assert ids == sorted(set(ids))


def test_no_transaction_appears_twice(small: pa.Table) -> None:
    names = [n for n in SCHEMA.names if n not in ("transaction_id", "is_fraud", "fraud_kind")]
    assert small.group_by(names).aggregate([]).num_rows == small.num_rows


def test_all_days_and_no_others() -> None:
    start = dt.date(2024, 2, 20)
    table = simulate(SimulatorConfig(accounts=100, counterparties=50, days=30, start=start))
    days = set(pc.cast(table["timestamp"], pa.date32()).to_pylist())
    assert days == {start + dt.timedelta(days=day) for day in range(30)}


def test_same_seed_same_table(small: pa.Table) -> None:
    assert simulate(SMALL).equals(small)


def test_seeds_differ(small: pa.Table) -> None:
    other = simulate(SimulatorConfig(accounts=400, counterparties=500, days=60, seed=4))
    assert set(column(other, "amount")[:100]) != set(column(small, "amount")[:100])


@settings(max_examples=25, deadline=None)
@given(
    accounts=st.integers(1, 20),
    counterparties=st.integers(12, 40),
    days=st.integers(1, 40),
    rate=st.floats(0.001, 20),
    fraud_share=st.floats(0, 0.5),
    seed=st.integers(0, 2**32),
)
def test_small_worlds_keep_the_schema(
    accounts: int, counterparties: int, days: int, rate: float, fraud_share: float, seed: int
) -> None:
    start = dt.date(2025, 1, 1)
    table = simulate(
        SimulatorConfig(accounts, counterparties, days, start, rate, fraud_share, seed)
    )
    assert table.schema == SCHEMA
    fraud = column(table, "is_fraud") == 1
    assert np.array_equal(fraud, table["fraud_kind"].is_valid().to_numpy())
    assert fraud.any() == (fraud_share > 0)
    assert seconds(table).max() < np.datetime64(start).astype("M8[s]").astype(int) + days * 86_400


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accounts", 0),
        ("counterparties", 11),
        ("days", 0),
        ("seed", -1),
        ("transactions_per_day", 0.0),
        ("transactions_per_day", float("nan")),
        ("fraud_share", -0.1),
        ("fraud_share", 0.6),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{key} is {value}; it must be"):
        SimulatorConfig(**{key: value})  # type: ignore[arg-type]


def test_the_last_day_is_before_the_year_10000() -> None:
    start = dt.date(9999, 12, 1)
    with pytest.raises(InputError, match="days is 31; it must be at most 30 from 9999-12-01 on"):
        SimulatorConfig(days=31, start=start)
    last = simulate(SimulatorConfig(20, 20, 30, start))["timestamp"].to_pylist()[-1]
    assert last.year == 9999


def test_a_kind_of_fraud_keeps_to_its_days_at_its_rate() -> None:
    """Runs begin on its days; the last may go on for 12 gaps of 2 hours."""
    days = {"stolen_card": (30, 60), "card_testing": (0, 15)}
    much = replace(SMALL, fraud_share=0.1)
    changed, constant = simulate(replace(much, fraud_days=days)), simulate(much)
    first = np.datetime64(SMALL.start).astype("M8[s]").astype(int)
    for kind, (begin, end) in days.items():
        moments = [
            (seconds(table)[column(table, "fraud_kind") == kind] - first) / 86_400
            for table in (changed, constant)
        ]
        assert begin <= moments[0].min() < begin + 3
        assert end - 3 < moments[0].max() <= end + 1
        assert len(moments[0]) / len(moments[1]) == pytest.approx((end - begin) / 60, rel=0.2)
    others = set(KINDS) - set(days)
    assert others < set(changed["fraud_kind"].to_pylist())


@pytest.mark.parametrize(
    "days",
    [
        {"stolen": (0, 9)},
        {"stolen_card": (9, 9)},
        {"stolen_card": (50, 61)},
        {"compromised_counterparty": (0, 9)},
    ],
)
def test_days_of_a_kind_that_is_not_there_are_refused(days: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(InputError, match=f"fraud_days of '{next(iter(days))}'.*stolen_card"):
        SimulatorConfig(days=60, fraud_days=days)


def test_size_and_fraud_share(whole: pa.Table) -> None:
    config = SimulatorConfig()
    expected = config.accounts * config.days * config.transactions_per_day
    assert whole.num_rows == pytest.approx(expected, rel=0.1)
    assert column(whole, "is_fraud").mean() == pytest.approx(config.fraud_share, rel=0.1)


def test_every_kind_has_its_part(whole: pa.Table) -> None:
    kinds, counts = np.unique(whole["fraud_kind"].drop_null().to_numpy(), return_counts=True)
    assert set(kinds) == KINDS == set(FRAUD_KINDS)
    assert counts.min() > 0.08 * counts.sum()
    assert counts.max() < 0.30 * counts.sum()


def share_by(keys: NDArray[np.int64], fraud: NDArray[np.int8]) -> NDArray[np.float64]:
    """The fraud share of each row's key, over all rows: more than anybody can know."""
    return (np.bincount(keys, fraud) / np.bincount(keys))[keys]


def gap_s(keys: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds since the previous transaction of the same key, 1e9 for the first."""
    order = np.lexsort((second, keys))
    gap = np.full(len(keys), 1e9)
    same = np.diff(keys[order]) == 0
    gap[order[1:][same]] = np.diff(second[order])[same]
    return gap


def single_columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Everything that one column says by itself, lower or higher being more suspect.

    Names are told apart by their fraud share.
    """
    fraud, second = column(table, "is_fraud"), seconds(table)
    cents = (column(table, "amount") * 100).round().astype(np.int64)
    account, counterparty = codes(table, "account_id"), codes(table, "counterparty_id")
    return {
        "amount": cents,
        "cents": share_by(cents % 100, fraud),
        "time": second,
        "second of day": second % 86_400,
        "hour": share_by(second // 3600 % 24, fraud),
        "weekday": share_by(second // 86_400 % 7, fraud),
        "gap of account": gap_s(account, second),
        "gap to next of account": gap_s(account, -second),
        "gap of counterparty": gap_s(counterparty, second),
        "row of table": np.arange(len(second)),
        "account": share_by(account, fraud),
        "counterparty": share_by(counterparty, fraud),
        "category": share_by(codes(table, "category"), fraud),
        "place": share_by(codes(table, "place"), fraud),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_single_column_gives_the_fraud_away(seed: int) -> None:
    table = simulate(SimulatorConfig(seed=seed))
    assert table.num_rows > 300_000
    fraud = column(table, "is_fraud")
    reached = {
        name: max(average_precision_score(fraud, sign * values) for sign in (1, -1))
        for name, values in single_columns(table).items()
    }
    assert {name: ap for name, ap in reached.items() if ap > 0.35} == {}


def test_favourites_take_most_of_what_an_account_does(whole: pa.Table) -> None:
    genuine = whole.filter(pc.equal(whole["is_fraud"], 0))
    pairs = genuine.group_by(["account_id", "counterparty_id"]).aggregate([([], "count_all")])
    order = np.lexsort((-column(pairs, "count_all"), codes(pairs, "account_id")))
    account, count = codes(pairs, "account_id")[order], column(pairs, "count_all")[order]
    rank = np.arange(len(account)) - np.searchsorted(account, account)
    favourites = np.bincount(account, count * (rank < FAVOURITES)) / np.bincount(account, count)
    assert np.median(favourites) > 0.55


@pytest.mark.parametrize(("name", "least"), [("place", 3.0), ("category", 1.5)])
def test_accounts_keep_to_their_places_and_categories(
    whole: pa.Table, name: str, least: float
) -> None:
    account, values = codes(whole, "account_id"), codes(whole, name)
    table = np.zeros((account.max() + 1, values.max() + 1))
    np.add.at(table, (account, values), 1)
    first_choice = (table.max(axis=1) / table.sum(axis=1)).mean()
    assert first_choice > least * table.sum(axis=0).max() / table.sum()


def test_accounts_have_levels_and_hours_of_their_own(whole: pa.Table) -> None:
    account, amount = codes(whole, "account_id"), np.log(column(whole, "amount"))
    angle = np.exp(2j * np.pi * (seconds(whole) % 86_400) / 86_400)
    rows = np.bincount(account)
    busy = rows > 50
    # By chance alone the means of 50 rows would spread by an 1/7 of the deviation of one row.
    assert (np.bincount(account, amount) / rows)[busy].std() > 0.35 * amount.std()
    concentration = np.hypot(np.bincount(account, angle.real), np.bincount(account, angle.imag))
    assert np.median((concentration / rows)[busy]) > 1.2 * abs(angle.mean())


def test_weekends_differ_by_account(whole: pa.Table) -> None:
    account, weekday = codes(whole, "account_id"), (seconds(whole) // 86_400 + 3) % 7
    rows = np.bincount(account)
    weekend = np.bincount(account, weekday >= 5)
    busy = rows > 100
    share = weekend[busy] / rows[busy]
    binomial = np.sqrt(share.mean() * (1 - share.mean()) / rows[busy])
    assert share.std() > 1.5 * binomial.mean()


def test_a_compromise_begins_ends_and_is_partial(whole: pa.Table) -> None:
    counterparty, day = codes(whole, "counterparty_id"), seconds(whole) // 86_400
    compromised = column(whole, "fraud_kind") == "compromised_counterparty"
    broken = np.unique(counterparty[compromised])
    spans, shares = [], []
    for shop in broken:
        days = day[compromised & (counterparty == shop)]
        inside = (counterparty == shop) & (day >= days.min()) & (day <= days.max())
        spans.append(days.max() - days.min() + 1)
        shares.append(compromised[inside].mean())
    assert len(spans) > 10
    assert max(spans) <= COMPROMISED_DAYS[1]
    assert np.median(spans) > 14
    assert 0.6 < np.mean(shares) < 0.95
    assert len(spans) < 0.1 * (counterparty.max() + 1)
    log_amount, there = np.log(column(whole, "amount")), np.isin(counterparty, broken)
    usual = log_amount[there & ~compromised].mean()
    assert log_amount[compromised].mean() == pytest.approx(usual, abs=0.2)


def kind_mask(table: pa.Table, kind: str | None) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (
        pc.equal(pc.fill_null(table["fraud_kind"], "genuine"), kind or "genuine")
        .combine_chunks()
        .to_numpy(zero_copy_only=False)
    )
    return mask


def test_kinds_differ_in_what_reveals_them(whole: pa.Table) -> None:
    amount, second = column(whole, "amount"), seconds(whole)
    account = codes(whole, "account_id")
    gap = gap_s(account, second)
    mean_angle = np.exp(2j * np.pi * (second % 86_400) / 86_400)
    own = np.bincount(account, mean_angle.real) + 1j * np.bincount(account, mean_angle.imag)
    odd_hour = (mean_angle * own.conj()[account]).real < 0

    def of(values: NDArray[Any], kind: str | None) -> NDArray[Any]:
        chosen: NDArray[Any] = values[kind_mask(whole, kind)]
        return chosen

    usual_amount = np.median(of(amount, None))
    assert np.median(of(amount, "high_amount")) > 8 * usual_amount
    assert np.median(of(amount, "stolen_card")) > 3 * usual_amount
    assert np.median(of(amount, "card_testing")) < 0.1 * usual_amount
    assert np.median(of(gap, "card_testing")) < 60 < 600 < np.median(of(gap, "stolen_card"))
    assert np.median(of(gap, "mule_burst")) < 600
    assert set(of(column(whole, "category"), "mule_burst")) == {"transfer"}
    assert of(odd_hour, "account_takeover").mean() > 0.9 > 3 * of(odd_hour, None).mean()


def test_genuine_people_do_all_of_it_too(whole: pa.Table) -> None:
    """In what one column shows of a kind, the genuine outnumber its frauds."""
    amount, gap = column(whole, "amount"), gap_s(codes(whole, "account_id"), seconds(whole))
    transfer = column(whole, "category") == "transfer"
    high = np.median(amount[kind_mask(whole, "stolen_card")])
    for seen, kind in (
        (amount > high, "stolen_card"),
        (amount > 500, "high_amount"),
        ((amount < 3.0) & (gap < 90), "card_testing"),
        (transfer & (gap < 600), "mule_burst"),
    ):
        assert (seen & kind_mask(whole, None)).sum() > (seen & kind_mask(whole, kind)).sum()
