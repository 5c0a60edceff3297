"""The network one transaction at a time, for whoever keeps a state an account in memory.

A decision takes a fraction of a window's time, since nothing is computed twice. The state is worth
keeping where one process answers for few accounts. It is no record: it is lost with the process,
and made again from the account's last transactions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import DISTANCE, PROBABILITY, Contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.runtime import load
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window

TRANSACTION, STATE = "transaction", "state"
State = NDArray[np.float32]


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
        self._window = Window(contract)
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
        self, transaction: Transaction, reputation: Mapping[str, int], state: State
    ) -> tuple[dict[str, float], State]:
        """Probability and distance of a transaction, and the state after it.

        The same as of the window that ends with it, within the artifact's tolerance.

        Args:
            transaction: checked.
            reputation: counts by statistic as known at its time; {} = unknown.
            state: after the account's transaction before; it is left as it is.
        """
        given = np.array([self._window.numbers(transaction, reputation)], np.float32)
        found = self._run(transaction=given, state=state)
        return {name: found[name].item(0) for name in (PROBABILITY, DISTANCE)}, found[STATE]
