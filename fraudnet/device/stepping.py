"""The network one transaction at a time, for whoever keeps a state an account in memory.

A decision takes a third of a window's time, since nothing is computed twice. The state is worth
keeping where one process answers for few accounts. It is no record: it is lost with the process,
and made again from the account's last transactions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.device.errors import ArtifactError
from fraudnet.device.runtime import load

State = NDArray[np.float32]


class Stepper:
    """A model's signature that takes one transaction and a state.

    Args:
        model: the flatbuffer: `Artifact.model`, which has been verified.
        signature: the contract's `step.signature`.

    Raises:
        ArtifactError: the runtime does not run it, or there is no such signature.
        DeviceInputError: no TFLite runtime is installed.
    """

    def __init__(self, model: bytes, signature: str) -> None:
        try:
            self._run = load(model).get_signature_runner(signature)
        except (ValueError, RuntimeError, KeyError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"the artifact has no signature {signature!r} that runs ({reason}); export it with "
                "its step, in float32, float16 or int8_weights"
            ) from error
        inputs = self._run.get_input_details()
        (self._state,) = inputs.keys() & self._run.get_output_details().keys()
        self._shape = tuple(inputs[self._state]["shape"])

    def begin(self) -> State:
        """The state before an account's first transaction, [1, S]."""
        return np.zeros(self._shape, np.float32)

    def step(
        self, inputs: Mapping[str, NDArray[np.generic]], state: State
    ) -> tuple[dict[str, float], State]:
        """Probability and distance of a transaction, and the state after it.

        The same as of the window that ends with it, within the artifact's tolerance.

        Args:
            inputs: [1, 1] by name, as the newest position of a window; `valid` is 1.
            state: after the account's transaction before; it is left as it is.
        """
        found = self._run(**inputs, **{self._state: state})
        return {name: found[name].item(0) for name in (PROBABILITY, DISTANCE)}, found[self._state]
