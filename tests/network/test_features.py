"""The features against a naive model: one transaction at a time, float64, calendar by datetime."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from fraudnet.network.features import TransactionFeatures
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification, Reputation
from tests.network.examples import SPECIFICATION, Floats, Inputs, batch, history, stacked, window

BARE = FeatureSpecification(reputation=None)
OTHER = FeatureSpecification(
    categorical=(CategoricalColumn(column="mcc", vocabulary=("5411",)),),
    numeric=("distance", "balance"),
    reputation=Reputation(episode_days="none", windows_days=(7, 30, 90)),
)
EMBEDDING = 3


def layer_of(specification: FeatureSpecification, normal_window: int) -> TransactionFeatures:
    layer = TransactionFeatures(specification, normal_window, EMBEDDING)
    layer.build({})
    rng = np.random.default_rng(1)
    size = 2 + len(specification.numeric)
    layer.mean.assign(np.linspace(2.0, 5.0, size))
    layer.deviation.assign(np.linspace(1.5, 2.5, size))
    for embedding in layer.embeddings.values():
        embedding.set_weights([rng.normal(size=w.shape) for w in embedding.weights])
    return layer


def log_of_amount(x: float) -> float:
    return math.copysign(math.log1p(abs(x)), x)


class NaiveFeatures:
    """One account's transactions, without padding."""

    def __init__(self, layer: TransactionFeatures, columns: Inputs) -> None:
        self.layer = layer
        self.mean = layer.mean.numpy().astype(np.float64)
        self.deviation = layer.deviation.numpy().astype(np.float64)
        self.columns = {name: values.tolist() for name, values in columns.items()}
        days_and_seconds = zip(self.columns["day"], self.columns["second"], strict=True)
        self.time = [86_400 * day + second for day, second in days_and_seconds]

    def standard(self, i: int, value: float) -> float:
        return float((value - self.mean[i]) / self.deviation[i])

    def gap(self, t: int, lag: int) -> float:
        if t < lag:
            return 0.0
        return self.standard(1, math.log1p(max(self.time[t] - self.time[t - lag], 0)))

    def habit(self, t: int) -> list[float]:
        moment = datetime.fromtimestamp(self.time[t], UTC)
        second = moment.hour * 3600 + moment.minute * 60 + moment.second
        hour, week = 2 * math.pi * second / 86_400, 2 * math.pi * moment.weekday() / 7
        circles = [math.sin(hour), math.cos(hour), math.sin(week), math.cos(week)]
        amount = self.standard(0, log_of_amount(self.columns["amount"][t]))
        amount = min(max(amount, -8.0), 8.0)
        return [amount, self.gap(t, 1), *circles, float(moment.weekday() >= 5)]

    def normal(self, t: int) -> list[float]:
        now = self.habit(t)
        past = [self.habit(i) for i in range(max(0, t - self.layer.normal_window), t)]
        if not past:
            return [0.0] * 7 + [math.log(math.sqrt(0.1))] * 2 + [0.0] * 4
        mean, variance = np.mean(past, axis=0), np.var(past, axis=0)[:2]
        deviation = np.sqrt(variance + 0.1)
        departure = np.clip((now[:2] - mean[:2]) / deviation, -8, 8)
        same_hour = now[2] * mean[2] + now[3] * mean[3]
        return [*mean, *np.log(deviation), *departure, same_hour, math.log(1 + len(past))]

    def reputation(self, t: int) -> list[float]:
        terms = self.layer.specification.reputation
        if terms is None:
            return []
        totals = [self.columns[f"counterparty_count_{d}d"][t] for d in terms.windows_days]
        frauds = [self.columns[f"counterparty_fraud_{d}d"][t] for d in terms.windows_days]
        dated = 0 if terms.episode_days == "none" else 4 * 3 + 1
        if totals[0] < 0:
            return [0.0] * (1 + 4 * len(totals) + dated)
        both = list(zip(totals, frauds, strict=True))
        odds = [math.log((fraud + 0.5) / (total - fraud + 5)) for total, fraud in both]
        shares = [fraud / total if total else 0.0 for total, fraud in both]
        logs = [math.log1p(n) / 2 for n in totals] + [math.log1p(n) for n in frauds]
        return [1.0, *logs, *shares, *odds, *self.episode(t, terms.episode_days)]

    def episode(self, t: int, days: int | str) -> list[float]:
        if isinstance(days, str):
            return []
        kinds = ("genuine", "fraud", "onset", "run")
        left = [self.columns[f"counterparty_{kind}_recency_{days}d"][t] for kind in kinds]
        there = [float(hours > 0) for hours in left]
        shares = [hours / (24 * days) for hours in left]
        ages = [math.log1p(days - hours / 24) if hours else 0.0 for hours in left]
        run = self.columns[f"counterparty_run_fraud_{days}d"][t]
        return [*there, *shares, *ages, math.log1p(run)]

    def at(self, t: int) -> list[float]:
        specification = self.layer.specification
        found = [*self.habit(t), *self.normal(t), self.gap(t, 4), self.gap(t, 16)]
        for i, name in enumerate(specification.numeric):
            found.append(self.standard(2 + i, log_of_amount(self.columns[name][t])))
        for column in specification.categorical:
            table = self.layer.embeddings[column.column].weights[0].numpy()
            found += table[self.columns[column.column][t]].tolist()
        return found + self.reputation(t)


@pytest.mark.parametrize("specification", [SPECIFICATION, BARE, OTHER])
@pytest.mark.parametrize("normal_window", [2, 8, 16, 64])
def test_same_as_naive(specification: FeatureSpecification, normal_window: int) -> None:
    layer = layer_of(specification, normal_window)
    rng = np.random.default_rng(normal_window)
    length, before = 150, max(normal_window + 1, 16)
    histories = [history(rng, n, specification) for n in (1, 2, 3, 5, 17, 64, 66, 120, 150)]
    features, valid = layer(stacked([window(h, length) for h in histories]))
    assert layer.span == before + 1
    assert features.shape[:2] == valid.shape[:2] == (len(histories), length - before)
    for columns, found, is_valid in zip(histories, features.numpy(), valid.numpy(), strict=True):
        count = len(columns["amount"])
        naive = NaiveFeatures(layer, columns)
        shown = range(max(0, count - (length - before)), count)
        expected = [naive.at(t) for t in shown]
        np.testing.assert_allclose(found[-len(shown) :], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found[: -len(shown)], 0)
        np.testing.assert_array_equal(
            is_valid[:, 0], np.arange(len(found)) >= len(found) - len(shown)
        )


def newest_features(layer: TransactionFeatures, columns: Inputs) -> Floats:
    features, _ = layer(stacked([window(columns, layer.span)]))
    found: Floats = features.numpy()[0, -1]
    return found


def test_time_that_runs_backwards_counts_as_no_gap() -> None:
    layer = layer_of(SPECIFICATION, 16)
    columns = history(np.random.default_rng(2), 17)
    columns["second"][-1], columns["second"][-2] = 10, 50
    columns["day"][-1] = columns["day"][-2]
    found = newest_features(layer, columns)
    columns["second"][-2] = 10
    assert found[1] == newest_features(layer, columns)[1]


@pytest.mark.parametrize("name", [i.name for i in SPECIFICATION.inputs if i.name != "valid"])
def test_every_input_is_read(name: str) -> None:
    layer = layer_of(SPECIFICATION, 16)
    columns = history(np.random.default_rng(3), 17)
    # Known counts, none of them clipped.
    columns |= {n: np.abs(v) + 20 for n, v in columns.items() if "count_" in n}
    columns |= {n: np.abs(v) for n, v in columns.items() if "fraud_" in n}
    before = newest_features(layer, columns)
    columns[name][-1] = columns[name][-1] + 1 if columns[name][-1] < 1 else 0
    assert np.abs(newest_features(layer, columns) - before).max() > 1e-3


def test_fit_standardises_the_training_rows() -> None:
    layer = layer_of(SPECIFICATION, 16)
    columns = history(np.random.default_rng(4), 400)
    time = 86_400.0 * columns["day"].astype(np.int64) + columns["second"].astype(np.int64)
    log_gaps = np.log1p(np.diff(time))
    layer.fit(columns, log_gaps)
    logs = [[log_of_amount(x) for x in columns[name].tolist()] for name in ("amount", "distance")]
    expected = [logs[0], log_gaps.tolist(), logs[1]]
    np.testing.assert_allclose(layer.mean.numpy(), [np.mean(v) for v in expected], rtol=1e-6)
    np.testing.assert_allclose(layer.deviation.numpy(), [np.std(v) for v in expected], rtol=1e-6)

    features, _ = layer(stacked([window(columns, 400 + layer.span - 1)]))
    found = features.numpy()[0].astype(np.float64)
    for channel, first in ((0, 0), (1, 1), (22, 0)):
        assert found[first:, channel].mean() == pytest.approx(0, abs=1e-4)
        assert found[first:, channel].std() == pytest.approx(1, abs=1e-4)


def test_fit_of_equal_values_divides_by_no_zero() -> None:
    layer = layer_of(BARE, 16)
    layer.fit({"amount": np.full(10, 5.0, np.float32)}, np.full(9, 2.0))
    np.testing.assert_allclose(layer.deviation.numpy(), 1e-3)
    features, _ = layer(batch(5, [1, 40], 60) | {"amount": np.full((2, 60), 5.0, np.float32)})
    assert np.isfinite(features.numpy()).all()


def test_standardisation_is_not_trained() -> None:
    layer = layer_of(SPECIFICATION, 16)
    trained = {id(weight) for weight in layer.trainable_weights}
    assert id(layer.mean) not in trained
    assert id(layer.deviation) not in trained
    assert len(trained) == len(SPECIFICATION.categorical)
