"""The network between a window as it is and the same as would be usual, field by field.

Each field of each transaction has a gate: at 1 the field is as it is, at 0 as is usual in the
window, and between it is on the straight line from one to the other, drawn where the network reads
it: amounts and the seconds since the transaction before as logarithms, hour and weekday as points
on their circles, numeric columns standardised, categories, reputation and amounts read in pieces as
their features.
A straight line between days, seconds or indices would pass through what nobody reads.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fraudnet.network.features import AMOUNT, LAGS, REPUTATION, TIME, Readings
from fraudnet.network.layers import newest
from fraudnet.network.network import Network
from fraudnet.windows.reputation import UNKNOWN_COUNT
from fraudnet.windows.specification import FeatureSpecification

DAY_S = 86_400

Floats = npt.NDArray[np.float32]
Pair = tuple[Any, Any]
Window = Mapping[str, npt.NDArray[Any]]


def fields_of(specification: FeatureSpecification) -> tuple[str, ...]:
    """What a transaction is made of: amount, time, categories, numeric columns, reputation."""
    found = [AMOUNT, TIME, *(c.column for c in specification.categorical), *specification.numeric]
    return (*found, *([REPUTATION] if specification.reputation is not None else []))


def usual_window(window: Window, specification: FeatureSpecification) -> dict[str, Any]:
    """The window with what is usual in it in place of every field but time.

    Amounts and numeric columns are the median of the window's transactions but the newest (of all,
    where there is one alone), categories and reputation unknown. Padding stays as it is.

    Args:
        window: raw inputs by name, [L] each, the newest last.
        specification: of the inputs.
    """
    valid = window["valid"] > 0
    usual = dict(window)
    for entry in specification.inputs:
        values = window[entry.name]
        if entry.kind in ("amount", "numeric"):
            usual[entry.name] = np.where(valid, _usual(values, valid), values).astype(values.dtype)
        elif entry.kind in ("categorical", "reputation"):
            unknown = 0 if entry.kind == "categorical" else UNKNOWN_COUNT
            usual[entry.name] = np.where(valid, unknown, values).astype(values.dtype)
    return usual


def _usual(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> float:
    others = valid.copy()
    others[-1] &= valid.sum() == 1
    return float(np.median(values[others])) if others.any() else 0.0


class Ends(NamedTuple):
    """Where a window's gates lead: what it is and what would be usual, in pairs of that order.

    Attributes:
        valid: [1, L, 1].
        amount: [1, L, 1] each.
        log_gap: log(1 + seconds) since the transaction before, [1, L] each.
        clock: of the features' clock, [1, L - 1, C] each.
        numeric: of their numeric columns, [1, L - span + 1, N] each.
        own: of their categories, reputation and amounts in pieces, [1, L - span + 1, C] each.
    """

    valid: Any
    amount: Pair
    log_gap: Pair
    clock: list[Pair]
    numeric: list[Pair]
    own: list[Pair]


class Gated:
    """A network's logit as a function of a window's gates.

    Args:
        network: trained.
    """

    def __init__(self, network: Network) -> None:
        self.fields = fields_of(network.specification)
        self.length = network.receptive_field
        self._specification = network.specification
        self._layer = network.features
        x, valid = network.logit.get_layer("features").output
        self._after_features = keras.Model([x, valid], network.logit.output, name="after_features")
        nothing = {
            entry.name: np.zeros((1, self.length), entry.dtype)
            for entry in network.specification.inputs
        }
        self._own = [names for names, _ in self._layer.readings(nothing).own]

    def ends(self, window: Window) -> Ends:
        """Where the gates of a window lead.

        Args:
            window: raw inputs by name, [R] each, R being the receptive field, the newest last.

        Raises:
            ValueError: the window has another length.
        """
        if len(window["valid"]) != self.length:
            raise ValueError(
                f"the window has {len(window['valid'])} positions; expected {self.length}"
            )
        usual = usual_window(window, self._specification)
        one = self._layer.readings({name: values[None] for name, values in window.items()})
        other = self._layer.readings({name: values[None] for name, values in usual.items()})
        return Ends(
            valid=one.valid,
            amount=(one.amount, other.amount),
            log_gap=_log_gaps(window),
            clock=[(each, _usual_clock(each, one.valid)) for each in one.clock],
            numeric=list(zip(one.numeric, other.numeric, strict=True)),
            own=[(x, y) for (_, x), (_, y) in zip(one.own, other.own, strict=True)],
        )

    def __call__(self, gates: Any, ends: Ends) -> Any:
        """Logits [S] of gates [S, L, F] of one window."""
        gate = {name: gates[..., i : i + 1] for i, name in enumerate(self.fields)}

        def between(pair: Pair, *names: str) -> Any:
            one, other = pair
            dropped = self.length - one.shape[1]
            share = sum(newest(gate[name], dropped) for name in names) / len(names)
            return other + share * (one - other)

        def each_between(pair: Pair) -> Any:
            one, other = pair
            dropped = self.length - one.shape[1]
            shares = [newest(gate[name], dropped) for name in self._specification.numeric]
            return other + ops.concatenate(shares, axis=-1) * (one - other)

        valid = ends.valid * ops.ones_like(gate[AMOUNT])
        time = _seconds(gate[TIME][..., 0], ends.log_gap)
        own = zip(self._own, ends.own, strict=True)
        features, valid = self._layer.combined(
            Readings(
                amount=between(ends.amount, AMOUNT),
                valid=valid,
                gaps=[self._layer.gap(time, valid, lag) for lag in LAGS],
                clock=[between(pair, TIME) for pair in ends.clock],
                numeric=[each_between(pair) for pair in ends.numeric],
                own=[(names, between(pair, *names)) for names, pair in own],
            )
        )
        return self._after_features([features, valid])[:, 0, 0]


def _seconds(gate: Any, log_gap: Pair) -> Any:
    """Days (none) and seconds from the newest transaction to each, none above 0: [S, L, 2].

    Counted from the newest, so that the gaps that matter most are exact in float32.
    """
    one, other = log_gap
    gaps = ops.exp(other + gate * (one - other)) - 1.0
    since = ops.flip(ops.cumsum(ops.flip(gaps[:, 1:], axis=1), axis=1), axis=1)
    seconds = ops.concatenate([-since, ops.zeros_like(gaps[:, :1])], axis=1)
    return ops.stack([ops.zeros_like(seconds), seconds], axis=-1)


def _usual_clock(clock: Any, valid: Any) -> Any:
    """The mean over the transactions but the newest, of [1, L - 1, C], at every position."""
    is_known = ops.convert_to_numpy(valid)[0, 1:, 0] > 0
    known = ops.convert_to_numpy(clock)[0][is_known]
    mean = (known[:-1] if len(known) > 1 else known).mean(axis=0)
    return ops.convert_to_tensor(np.where(is_known[:, None], mean, 0)[None].astype(np.float32))


def _log_gaps(window: Window) -> Pair:
    """log(1 + seconds) since the one before, [1, L], and of the median of all but the newest's.

    0 where none is before.
    """
    time = window["day"].astype(np.int64) * DAY_S + window["second"]
    valid = window["valid"] > 0
    gaps = np.zeros(len(time))
    gaps[1:] = np.where(valid[1:] & valid[:-1], np.maximum(np.diff(time), 0), 0)
    counted = np.append(False, valid[1:] & valid[:-1])
    earlier = counted.copy()
    earlier[-1] = False
    usual = np.where(counted, np.median(gaps[earlier]), 0) if earlier.any() else gaps
    one, other = (np.log1p(each)[None].astype(np.float32) for each in (gaps, usual))
    return ops.convert_to_tensor(one), ops.convert_to_tensor(other)
