"""What happens after a moment, and labels not known by then, change nothing up to that moment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.chunks import chunks_over, windows_of
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.reputation import reputation_counts
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification, Reputation
from tests.network.examples import SMALL, random_network
from tests.windows.tables import DAY_US, VOCABULARY, Row, known_us, table_of

pytestmark = pytest.mark.xdist_group("no_leaks")

Array = npt.NDArray[Any]
Rng = np.random.Generator
Refresh = Literal["day", "transaction"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook.parquet"
CATEGORY = CategoricalColumn(column="category", vocabulary=VOCABULARY)
REPUTATIONS = st.builds(
    Reputation,
    key=st.sampled_from(["counterparty_id", "category"]),
    windows_days=st.just((1, 7)),
    refresh=st.sampled_from(["day", "transaction"]),
)
DELAYS = st.sampled_from([0, 43, 1000, 7000])  # thousandths of a day
SEEDS = st.integers(0, 2**32 - 1)
WORLDS = 40
WINDOW = 4
QUARTER_US = DAY_US // 4


class Bought(NamedTuple):
    """A row, and which one it is wherever it stands."""

    name: int
    row: Row


def specification(reputation: Reputation) -> FeatureSpecification:
    return FeatureSpecification(
        categorical=(CATEGORY,), numeric=("distance",), reputation=reputation
    )


def random_row(rng: Rng, world: int, timestamp_us: int) -> Row:
    later = int(rng.choice([0, 0, 1, 3, 4, 28, 60])) * QUARTER_US
    return Row(
        account=f"{world} {rng.integers(3)}",
        timestamp_us=timestamp_us,
        counterparty=None if rng.random() < 0.1 else f"{world} {rng.integers(3)}",
        amount=float(rng.choice([0.0, -3.5, 1e9, rng.lognormal()])),
        category=[*VOCABULARY, "other", None][rng.integers(5)],
        distance=None if rng.random() < 0.1 else float(rng.normal()),
        is_fraud=[0, 0, 1, None][rng.integers(4)],
        label_time_us=None if rng.random() < 0.6 else timestamp_us + later,
    )


def around(rng: Rng, moment_us: int) -> int:
    """A moment within a fortnight, often the same quarter or a microsecond beside it."""
    quarters = int(rng.choice([0, rng.integers(-56, 56), rng.integers(-6, 6)]))
    return moment_us + quarters * QUARTER_US + int(rng.choice([0, 0, 0, -1, 1]))


def drawn(rng: Rng, moment_us: int, worlds: int, size: int = 12) -> list[Bought]:
    """Rows around a moment, in worlds that share no account and no counterparty."""
    rows = [
        random_row(rng, world, around(rng, moment_us)) for world in range(worlds)
        for _ in range(rng.integers(1, size))
    ]  # fmt: skip
    return [Bought(name, rows[at]) for name, at in enumerate(rng.permutation(len(rows)))]


def drawn_moment(rng: Rng) -> int:
    return int(rng.integers(20 * 4, 60 * 365 * 4)) * QUARTER_US + int(rng.choice([0, 0, -1, 1]))


def otherwise(rng: Rng, rows: list[Bought], moment_us: int, delay_us: int) -> list[Bought]:
    """Rows after the moment deleted, changed, shuffled and more of them; labels not known changed.

    Each such row is changed in one respect or in all.
    """
    changed: list[Bought] = []
    later: list[Bought] = []
    for name, row in rows:
        label = [0, 1, None][rng.integers(3)]
        if row.timestamp_us > moment_us:
            other = random_row(rng, int(row.account.split()[0]), row.timestamp_us)
            fates: list[dict[str, Any] | None] = [
                None,
                {},
                {"is_fraud": label},
                {"amount": other.amount, "distance": other.distance},
                {"category": other.category},
                {"counterparty": other.counterparty},
                {"label_time_us": other.label_time_us},
                other._asdict(),
            ]
            fate = fates[rng.integers(len(fates))]
            if fate is not None:
                later.append(Bought(name, row._replace(**fate)))
        elif known_us(row, delay_us) > moment_us:
            known = row.label_time_us
            if known is not None:
                known = moment_us + 1 + int(rng.integers(0, 3)) * QUARTER_US
            changed.append(Bought(name, row._replace(is_fraud=label, label_time_us=known)))
        else:
            changed.append(Bought(name, row))
    for world in {int(row.account.split()[0]) for _, row in rows}:
        if rng.random() < 0.5:
            when = moment_us + 1 + int(rng.integers(0, 30)) * QUARTER_US
            later.append(Bought(-1, random_row(rng, world, when)))
    for bought in [later[at] for at in rng.permutation(len(later))]:
        changed.insert(int(rng.integers(len(changed) + 1)), bought)
    return changed


def built(rows: list[Bought], features: FeatureSpecification, delay_us: int) -> Histories:
    return build_histories(table_of([row for _, row in rows]), features, delay_us / DAY_US)


def names_of(histories: Histories, rows: list[Bought]) -> Array:
    return np.array([name for name, _ in rows])[histories.source_row]


def up_to(histories: Histories, rows: list[Bought], moment_us: int) -> Array:
    """The rows of the histories up to a moment, in the order of their names."""
    names = names_of(histories, rows)
    then = np.flatnonzero(histories.timestamp_us <= moment_us)
    chosen: Array = then[np.argsort(names[then])]
    return chosen


@settings(deadline=None, max_examples=60)
@given(SEEDS, REPUTATIONS, DELAYS)
def test_nothing_later_changes_a_window_a_count_or_a_known_label(
    seed: int, reputation: Reputation, milli_days: int
) -> None:
    """40 worlds at a time."""
    rng, delay_us = np.random.default_rng(seed), milli_days * DAY_US // 1000
    moment_us = drawn_moment(rng)
    rows = drawn(rng, moment_us, WORLDS)
    others = otherwise(rng, rows, moment_us, delay_us)
    until = EPOCH + timedelta(microseconds=moment_us + 1)
    found = []
    for each in (rows, others):
        histories = built(each, specification(reputation), delay_us)
        then = up_to(histories, each, moment_us)
        names = names_of(histories, each)
        assert (names[then] >= 0).all()
        windows = windows_of(histories, then, WINDOW).gather(np.arange(len(then)))
        learnt = known_rows(
            histories, Period(EPOCH, until), EPOCH + timedelta(microseconds=moment_us)
        )
        labels = learnt.histories.is_fraud[then]
        assert set(names[learnt.rows]) == set(names[then][labels >= 0])
        assert (learnt.histories.is_fraud[histories.timestamp_us > moment_us] < 0).all()
        found.append(({"names": names[then], "labels": labels}, windows))
    for one, other in zip(*found, strict=True):
        assert list(one) == list(other)
        for name, values in one.items():
            assert values.tobytes() == other[name].tobytes(), name


@pytest.fixture(scope="module")
def scorer() -> tuple[Callable[[dict[str, Array]], dict[str, tf.Tensor]], int]:
    """A network of random weights, compiled once, and its receptive field."""
    features = specification(Reputation(episode_days="none", windows_days=(1, 7)))
    network = random_network(SMALL, specification=features)
    return tf.function(network.scores), network.receptive_field


CHUNKS, LENGTH = 48, 6


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.sampled_from(["day", "transaction"]), DELAYS)
def test_nothing_later_changes_a_score(
    scorer: tuple[Callable[[dict[str, Array]], dict[str, tf.Tensor]], int],
    seed: int,
    refresh: Refresh,
    milli_days: int,
) -> None:
    """Of positions that later ones follow in the same chunk."""
    score, receptive_field = scorer
    rng, delay_us = np.random.default_rng(seed), milli_days * DAY_US // 1000
    moment_us = drawn_moment(rng)
    rows = drawn(rng, moment_us, worlds=4, size=30)
    others = otherwise(rng, rows, moment_us, delay_us)
    features = specification(Reputation(episode_days="none", windows_days=(1, 7), refresh=refresh))
    found: list[dict[str, Array]] = []
    for each in (rows, others):
        histories = built(each, features, delay_us)
        chunks = chunks_over(histories, np.ones(len(histories), bool), receptive_field, LENGTH)
        assert len(chunks) <= CHUNKS
        filled = np.resize(np.arange(len(chunks)), CHUNKS)
        at = chunks.rows(filled)
        then = up_to(histories, each, moment_us)
        answers = {}
        for name, values in score(chunks.gather(filled)).items():
            of_row = np.full(len(histories), np.nan, np.float32)
            of_row[at[at >= 0]] = values.numpy()[..., 0][at >= 0]
            answers[name] = of_row[then]
        found.append(answers)
    one, other = found
    assert set(one) == {"fraud_probability", "ood_distance"}
    for name, values in one.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(other[name], values, rtol=1e-5, atol=1e-6)


def change_of(
    asked: Bought, flipped: list[Bought], reputation: Reputation, days: int, delay_us: int
) -> int:
    """By how much a row's frauds change where the labels of the flipped rows are the others."""
    now = asked.row.timestamp_us
    if reputation.refresh == "day":
        now -= now % DAY_US
    key = reputation.key.removesuffix("_id")
    change = 0
    for name, row in flipped:
        same = getattr(asked.row, key) == getattr(row, key) is not None and name != asked.name
        if same and 0 <= now - known_us(row, delay_us) < days * DAY_US:
            change += -1 if row.is_fraud == 1 else 1
    return change


@settings(deadline=None, max_examples=60)
@given(SEEDS, REPUTATIONS, DELAYS)
def test_a_label_changes_counts_from_the_microsecond_at_which_it_is_known(
    seed: int, reputation: Reputation, milli_days: int
) -> None:
    """In each of 40 worlds one label is another; rows are added around the time it is known."""
    rng, delay_us = np.random.default_rng(seed), milli_days * DAY_US // 1000
    rows = drawn(rng, drawn_moment(rng), WORLDS)
    chosen: dict[int, Bought] = {}
    for bought in rows:
        chosen.setdefault(int(bought.row.account.split()[0]), bought)
    for world, (_, row) in chosen.items():
        known = known_us(row, delay_us)
        for days in (0, *reputation.windows_days):
            for beside in (-1, 0, 1):
                at = max(0, known + days * DAY_US + beside)
                probe = random_row(rng, world, at)
                if rng.random() < 0.8:
                    probe = probe._replace(counterparty=row.counterparty, category=row.category)
                rows.insert(int(rng.integers(len(rows) + 1)), Bought(len(rows), probe))
    flipped = {name for name, _ in chosen.values()}
    others = [
        Bought(name, row._replace(is_fraud=0 if row.is_fraud == 1 else 1))
        if name in flipped
        else Bought(name, row)
        for name, row in rows
    ]
    one, other = (built(each, specification(reputation), delay_us) for each in (rows, others))
    source = one.source_row
    assert np.array_equal(source, other.source_row)
    own = [bought for bought in rows if bought.name in flipped]
    changed = 0
    for days in reputation.windows_days:
        count, fraud = (f"{reputation.prefix}_{what}_{days}d" for what in ("count", "fraud"))
        assert np.array_equal(one.columns[count], other.columns[count])
        expected = [change_of(rows[at], own, reputation, days, delay_us) for at in source]
        assert np.subtract(other.columns[fraud], one.columns[fraud]).tolist() == expected
        changed += np.count_nonzero(expected)
    assert changed > WORLDS


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(["day", "transaction"]), DELAYS)
def test_rows_of_others_that_share_no_counterparty_change_nothing(
    seed: int, refresh: Refresh, milli_days: int
) -> None:
    """In each of 40 worlds one account stays, with all rows of the counterparties that it has."""
    rng, delay_us = np.random.default_rng(seed), milli_days * DAY_US // 1000
    moment_us = drawn_moment(rng)
    rows = drawn(rng, moment_us, WORLDS)
    stays = {row.account.split()[0]: row.account for _, row in rows}
    shared = {
        row.counterparty
        for _, row in rows
        if row.account in stays.values() and row.counterparty is not None
    }
    others = [
        bought
        for bought in rows
        if bought.row.account in stays.values() or bought.row.counterparty in shared
    ]
    assert len(others) < len(rows)
    found = []
    for each in (rows, others):
        histories = built(each, specification(Reputation(refresh=refresh)), delay_us)
        own = {name for name, row in each if row.account in stays.values()}
        names = names_of(histories, each)
        kept = np.flatnonzero(np.isin(names, list(own)))
        kept = kept[np.argsort(names[kept])]
        found.append(windows_of(histories, kept, WINDOW).gather(np.arange(len(kept))))
    one, other = found
    assert list(one) == list(other)
    for name, values in one.items():
        assert values.tobytes() == other[name].tobytes(), name


# The Handbook's transactions: 1.75 million, of 183 days.


@pytest.fixture(scope="module")
def handbook() -> pd.DataFrame:
    if not HANDBOOK.exists():
        pytest.skip(f"{HANDBOOK} is not there")
    table = read_transactions(HANDBOOK, load_recipe("handbook")).table
    codes, _ = pd.factorize(table["counterparty_id"].to_pandas())
    return pd.DataFrame(
        {
            "key": codes.astype(np.int64),
            "time": table["timestamp"].cast(pa.int64()).to_numpy(),
            "is_fraud": table["is_fraud"].to_numpy(),
        }
    )


def counts_of(frame: pd.DataFrame, refresh: Refresh) -> npt.NDArray[np.float32]:
    key, time = frame["key"].to_numpy(), frame["time"].to_numpy()
    known, label = time + 7 * DAY_US, frame["is_fraud"].to_numpy()
    counts = reputation_counts(Reputation(refresh=refresh), key, time, known, label)
    return counts.of(np.arange(len(key)))


@pytest.mark.data
@pytest.mark.parametrize("refresh", ["day", "transaction"])
def test_nothing_after_the_first_of_august_changes_a_count_of_the_handbook(
    handbook: pd.DataFrame, refresh: Refresh
) -> None:
    rng = np.random.default_rng(0)
    august = int(datetime(2018, 8, 1, tzinfo=UTC).timestamp()) * 1_000_000
    later = (handbook["time"] > august).to_numpy()
    assert later.sum() > 500_000
    changed = handbook.copy()
    changed.loc[later, "is_fraud"] = rng.integers(0, 2, int(later.sum())).astype(np.int8)
    changed = changed[~later | (rng.random(len(later)) < 0.5)]
    expected = counts_of(handbook, refresh)[~later]
    found = counts_of(changed, refresh)[(changed["time"] <= august).to_numpy()]
    assert expected.max() > 20
    assert found.tobytes() == expected.tobytes()


@pytest.mark.data
@pytest.mark.parametrize("refresh", ["day", "transaction"])
def test_a_week_of_other_labels_in_the_handbook_changes_nothing_before_they_are_known(
    handbook: pd.DataFrame, refresh: Refresh
) -> None:
    moment = int(datetime(2018, 7, 18, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000
    time = handbook["time"]
    flipped = (time >= moment - 7 * DAY_US) & (time < moment)
    changed = handbook.assign(
        is_fraud=handbook["is_fraud"].where(~flipped, 1 - handbook["is_fraud"])
    )
    before, after = counts_of(handbook, refresh), counts_of(changed, refresh)
    assert np.array_equal(before[:, 0:6:2], after[:, 0:6:2])  # the counts
    other = (before != after).any(axis=1)
    assert other.sum() > 100_000
    # Of each terminal: its first label that is another, known seven days later.
    first = time[flipped].groupby(handbook["key"][flipped]).min() + 7 * DAY_US
    known = handbook["key"].map(first).fillna(2**62).to_numpy()
    assert time[other].min() >= moment
    assert (time.to_numpy()[other] >= known[other]).all()
    if refresh == "transaction":  # and of the first row from then on, it is told
        asked = handbook[(time >= known) & (time < known + DAY_US)]
        assert other[asked.groupby("key")["time"].idxmin().to_numpy()].mean() > 0.9
