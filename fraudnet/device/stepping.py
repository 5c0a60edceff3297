"""The network one transaction at a time, for whoever keeps a state an account in memory.

A decision takes a fraction of a window's time, since nothing is computed twice. The state is worth
keeping where one process answers for few accounts. It is no record: it is lost with the process,
and made again from the account's last transactions.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import DISTANCE, PROBABILITY, Contract, Input
from fraudnet.device.errors import ArtifactError
from fraudnet.device.runtime import load
from fraudnet.device.transactions import DAY_US, LARGEST_NUMBER, Scalar
from fraudnet.device.window import SECOND_US, UNKNOWN_COUNT

TRANSACTION, STATE = "transaction", "state"
State = NDArray[np.float32]
Columns = Mapping[str, Scalar]
Counts = Mapping[str, int]


class Stepper:
    """The signature of an artifact that takes one transaction and a state.

    Args:
        model: the flatbuffer: `Artifact.model`, which has been verified.
        contract: the artifact's.

    Raises:
        ArtifactError: there is no such signature, or the runtime does not run it.
        DeviceInputError: no TFLite runtime is installed.
    """

    def __init__(self, model: bytes, contract: Contract) -> None:
        if contract.step is None:
            raise ArtifactError(
                "the artifact has no step; export it with one, in float32, float16 or int8_weights"
            )
        self._length = contract.step.length
        self._encoders = [_encoder(entry) for entry in contract.inputs]
        try:
            self._run = load(model).get_signature_runner(contract.step.signature)
        except (ValueError, RuntimeError, KeyError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"the signature {contract.step.signature!r} does not run ({reason}); export the "
                "artifact again"
            ) from error

    def begin(self) -> State:
        """The state before an account's first transaction, [1, S]."""
        return np.zeros((1, self._length), np.float32)

    def step(
        self, timestamp_us: int, amount: float, columns: Columns, counts: Counts, state: State
    ) -> tuple[dict[str, float], State]:
        """Probability and distance of a transaction, and the state after it.

        The same as of the window that ends with it, within the artifact's tolerance.

        Args:
            timestamp_us: since 1970-01-01, UTC.
            amount: in major units.
            columns: that the artifact reads besides, by name.
            counts: reputation by statistic as it was known; none: unknown.
            state: after the account's transaction before; it is left as it is.
        """
        given = [encode(timestamp_us, amount, columns, counts) for encode in self._encoders]
        found = self._run(transaction=np.array([given], np.float32), state=state)
        return {name: found[name].item(0) for name in (PROBABILITY, DISTANCE)}, found[STATE]


Encode = Callable[[int, float, Columns, Counts], float]


def _encoder(entry: Input) -> Encode:
    """One number of a transaction, as `Window` puts it at a position."""
    match entry.kind:
        case "amount":
            return lambda _time, amount, _columns, _counts: amount
        case "day":
            return lambda time, _amount, _columns, _counts: time // DAY_US
        case "second":
            return lambda time, _amount, _columns, _counts: time % DAY_US // SECOND_US
        case "valid":
            return lambda _time, _amount, _columns, _counts: 1.0
        case "categorical":
            places: dict[Scalar, int] = {w: i for i, w in enumerate(entry.vocabulary, start=1)}
            return lambda _time, _amount, columns, _counts: places.get(columns.get(entry.column), 0)
        case "numeric":
            return partial(_number, entry.column)
        case _:
            return lambda _time, _amount, _columns, counts: counts.get(
                entry.statistic, UNKNOWN_COUNT
            )


def _number(column: str, _time: int, _amount: float, columns: Columns, _counts: Counts) -> float:
    value = columns.get(column)
    return value if type(value) in (float, int) and abs(value) <= LARGEST_NUMBER else 0.0  # type: ignore[arg-type, return-value]
