"""The sentinel: distances against numpy and scipy, shifts against loops, its cost as counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis

from fraudnet.artifact.convert import convert
from fraudnet.energy.counting import count_bytes
from fraudnet.errors import InputError
from fraudnet.network.describe import describe
from fraudnet.network.layers import MahalanobisDistance
from fraudnet.network.network import NetworkConfig, Sentinel, build_network
from fraudnet.training.experiment import load_experiment
from fraudnet.training.sentinel import (
    LEAST_LIMIT,
    LEAST_SHRINKAGE,
    MOST_SHARE,
    REACH,
    REACHED,
    WITHIN_LIMIT,
    Familiar,
    fit_channels,
    fit_full,
    fit_limits,
    most_directions,
    shifted,
)
from tests.network.examples import SPECIFICATION, batch

Floats = NDArray[Any]
FORMS = [("full", 8), ("full", 3), ("full", 1), ("channel", 0)]
SHRINKAGE = 0.01


def correlated(count: int = 800, channels: int = 8, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    drawn: Floats = rng.normal(size=(count, channels)) @ mixing + rng.normal(size=channels)
    return drawn.astype(np.float32)


def expected_covariance(rows: Floats, form: str, rank: int) -> Floats:
    """The most likely covariance of its form, by trying every one."""
    covariance = np.cov(rows.astype(np.float64).T)
    channels = len(covariance)
    covariance += SHRINKAGE * np.trace(covariance) / channels * np.eye(channels)
    if form == "channel":
        alone: Floats = np.diag(np.diag(covariance))
        return alone
    variances, directions = np.linalg.eigh(covariance)
    found = []
    for begin in range(rank + 1):
        own = variances.copy()
        if rank < channels:
            left_out = slice(begin, begin + channels - rank)
            own[left_out] = own[left_out].mean()
        found.append(directions @ np.diag(own) @ directions.T)
    # Twice the negative log-likelihood a row, but for a constant.
    losses = [
        np.linalg.slogdet(each)[1] + np.trace(np.linalg.inv(each) @ covariance) for each in found
    ]
    best: Floats = found[int(np.argmin(losses))]
    return best


def expected_distances(rows: Floats, form: str, rank: int, at: Floats) -> Floats:
    """By scipy and a loop over channels."""
    rows = rows.astype(np.float64)
    inverse, mean = np.linalg.inv(expected_covariance(rows, form, rank)), rows.mean(axis=0)
    reached = np.quantile([mahalanobis(row, mean, inverse) for row in rows], REACHED)
    limits = np.quantile(np.abs(rows - mean), WITHIN_LIMIT, axis=0)
    limits = np.maximum(limits, LEAST_LIMIT * limits.mean())
    found = []
    for point in at.astype(np.float64):
        distance = mahalanobis(point, mean, inverse)
        for limit, apart in zip(limits, abs(point - mean), strict=True):
            if apart > limit:
                distance += REACH * reached * (apart / limit - 1)
        found.append(distance)
    return np.array(found)


def fit(rows: Floats, form: str, rank: int) -> Familiar:
    full = form == "full"
    covariance = fit_full(rows, rank, SHRINKAGE) if full else fit_channels(rows, SHRINKAGE)
    return fit_limits(rows, covariance)


def distances(fitted: Familiar, at: Floats) -> Floats:
    layer = MahalanobisDistance(len(fitted.covariance.excess))
    layer.build((None, None, at.shape[1]))
    fitted.put_into(layer)
    found: Floats = layer(at[None]).numpy()[0, :, 0]
    return found


@pytest.mark.parametrize(("form", "rank"), FORMS)
def test_the_distance_is_that_of_mahalanobis_by_the_most_likely_covariance(
    form: str, rank: int
) -> None:
    rows = correlated()
    at = np.concatenate([rows[:50], 20 * correlated(20, seed=100)])
    expected = expected_distances(rows, form, rank, at)
    inverse, mean = np.linalg.inv(expected_covariance(rows, form, rank)), rows.mean(axis=0)
    inside = [mahalanobis(point, mean, inverse) for point in rows[:10].astype(np.float64)]
    assert expected[:10] == pytest.approx(np.array(inside))  # within all limits
    fitted = fit(rows, form, rank)
    assert fitted.distance(at) == pytest.approx(expected, rel=1e-5)
    assert distances(fitted, at) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rank", [32, 20])
def test_rounding_does_not_hide_what_is_far_out(rank: int) -> None:
    """Variances that fall steeply, and rows far along the first direction."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    deviations = 10 * 0.6 ** (np.arange(40) / 2)
    rows = (rng.normal(size=(4_000, 40)) * deviations @ directions.T + 3).astype(np.float32)
    steps = np.linspace(5, 50, 100)[:, None] * deviations[0]
    at = (rows.mean(axis=0) + steps * directions[:, 0]).astype(np.float32)
    fitted = replace(fit_limits(rows, fit_full(rows, rank, LEAST_SHRINKAGE)), reach=0.0)
    assert (fitted.covariance.excess < 0).any()
    assert distances(fitted, at) == pytest.approx(fitted.distance(at), rel=1e-2)


@pytest.mark.parametrize(("form", "rank"), FORMS)
@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_the_scale_of_all_activations_changes_no_decision(
    form: str, rank: int, factor: float
) -> None:
    rows, at = correlated(), np.concatenate([correlated(seed=1), correlated(seed=2)])
    plain, scaled = fit(rows, form, rank), fit(factor * rows.astype(np.float64), form, rank)
    far, far_scaled = plain.distance(at), scaled.distance(factor * at.astype(np.float64))
    assert far_scaled == pytest.approx(far, rel=1e-9)
    alarms = far > np.quantile(plain.distance(rows), 0.99)
    again = scaled.distance(factor * rows.astype(np.float64))
    assert (alarms == (far_scaled > np.quantile(again, 0.99))).all()
    assert 0 < alarms.sum() < len(at)


@pytest.mark.parametrize(("form", "rank"), FORMS)
def test_channels_that_never_change_keep_the_distance_finite(form: str, rank: int) -> None:
    rows, at = correlated(), correlated(seed=1)
    rows[:, 2] = at[:, 2] = 3.0
    rows[:, 4], at[:, 4] = rows[:, 5], at[:, 5]
    fitted = fit(rows, form, rank)
    as_before = fitted.distance(at)
    assert np.isfinite(as_before).all()
    at[:, 2] += 40.0
    assert (fitted.distance(at) > as_before).all()
    same = np.full((10, 8), 0.5, np.float32)
    assert distances(fit(same, form, rank), same).tolist() == [0.0] * 10


def test_each_shift_does_what_it_says() -> None:
    windows = batch(3, [4, 30, 12], 12)
    found = dict(shifted(windows, SPECIFICATION))
    assert list(found) == ["amounts", "clock", "stuck_amount", "gaps", "reputation"]
    names = [i.name for i in SPECIFICATION.inputs if i.kind == "reputation"]

    def moment(of: dict[str, Floats], row: int, at: int) -> datetime:
        passed = {"days": int(of["day"][row, at]), "seconds": int(of["second"][row, at])}
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(**passed)

    for row, at in np.ndindex(3, 12):
        if not windows["valid"][row, at]:
            assert all(of[n][row, at] == 0 for of in found.values() for n in ("amount", "day"))
            continue
        assert found["amounts"]["amount"][row, at] == windows["amount"][row, at] * np.float32(100)
        assert found["stuck_amount"]["amount"][row, at] == windows["amount"][row, -1]
        now, then = moment(windows, row, at), moment(found["clock"], row, at)
        assert then - now == timedelta(hours=7)
        assert moment(windows, row, 11) - moment(found["gaps"], row, at) == timedelta(
            minutes=11 - at
        )
        assert all(found["reputation"][name][row, at] == 0 for name in names)
    for each in found.values():
        assert {name: x.dtype for name, x in each.items()} == {
            name: x.dtype for name, x in windows.items()
        }
        assert (each["valid"] == windows["valid"]).all()
        assert ((each["second"] >= 0) & (each["second"] < 86_400)).all()


def test_the_distance_takes_under_3_per_cent_as_counted_in_the_converted_file() -> None:
    config = NetworkConfig()
    for layer, channels in (("block3", config.width), ("head", config.head)):
        rank = most_directions(build_network(config, SPECIFICATION), channels)
        network = build_network(config, SPECIFICATION, sentinel=Sentinel(layer, rank))
        rows = [each for each in describe(network).layers if each.name != "distance"]
        others = sum(each.macs for each in rows if not each.name.endswith("_depthwise"))
        taken = count_bytes(convert(network), "converted").macs - others
        assert taken == channels * rank
        whole = sum(each.macs_per_position for each in rows)
        weighed = rank + 2 * channels  # each direction once, each channel in variance and limit
        assert taken + weighed < MOST_SHARE * whole <= taken + weighed + channels + 1


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"'block9' is not in the network.*stem, block0"):
        load_experiment("simulated", ["sentinel.layer=block9"])
