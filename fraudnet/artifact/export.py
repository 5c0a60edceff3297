"""Export: a trained network becomes one verified file, or no file at all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.artifact.contract import contract_of
from fraudnet.artifact.convert import convert, convert_step
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.lengthwise import lengthwise
from fraudnet.artifact.package import package, vector, write_atomically
from fraudnet.artifact.quantise import Variant, quantise
from fraudnet.artifact.signatures import SEQUENCE, STEP, WINDOW
from fraudnet.artifact.stepwise import stepwise
from fraudnet.artifact.verify import (
    LEAST_WINDOWS,
    TOLERANCES,
    Parity,
    check_parity,
    keras_answers,
    varied,
    with_edge_cases,
    worst_windows,
)
from fraudnet.device.artifact import open_artifact
from fraudnet.errors import CheckFailed
from fraudnet.latency.answering import Answers, NotLoaded, answers_of, installed, version_of
from fraudnet.network.step import Step
from fraudnet.training.trained import Trained, Windows

SHORT_VECTORS = 3
SHORT, LONG = 6, 24
"""Transactions in a test vector at most: a whole window takes 2 kB of the file."""

OTHERS = 400
"""Windows that the other signatures answer, too, the edge cases among them: `step` takes as many
calls as they have transactions."""

REPRESENTATIVE = 20
"""Every so many of the windows that copies are compared on is one that ranges of activations are
taken from, the edge cases apart: short and scaled ones and without reputation are among them."""


@dataclass(frozen=True)
class Exported:
    """An artifact that was written.

    Attributes:
        path: the file.
        variant: float32 or a smaller one.
        bytes: of the file.
        parity: with Keras, by runtime that runs it.
        not_loaded: why, by runtime that does not.
        worst: the windows that are furthest from Keras in the first runtime, [20, R] by input.
        costs: what the flatbuffer takes, as its contract has it.
    """

    path: Path
    variant: Variant
    bytes: int
    parity: dict[str, Parity]
    not_loaded: dict[str, str]
    worst: Windows
    costs: dict[str, Any]

    def furthest(self) -> dict[str, float]:
        """By name, the largest figure of any runtime."""
        figures = [parity.figures() for parity in self.parity.values()]
        return {name: max(each[name] for each in figures) for name in figures[0]}


@dataclass(frozen=True)
class Converted:
    """A trained network as a float32 flatbuffer, and what Keras answers: what every variant shares.

    Attributes:
        trained: the network and its windows.
        model: the flatbuffer, its operators still named.
        step: likewise, of one transaction and a state; None: the artifact goes without.
        windows: that copies are compared on, [W, R] by input; the edge cases are last.
        expected: Keras's answers, [W] by output.
    """

    trained: Trained
    model: bytes
    step: bytes | None
    windows: Windows
    expected: dict[str, npt.NDArray[np.float32]]


def converted(trained: Trained, with_step: bool = True) -> Converted:
    """Convert a trained network, and ask Keras.

    Args:
        trained: the network and its windows.
        with_step: whether artifacts have the signature of one transaction and a state as well,
            which takes some 30 kB.

    Raises:
        CheckFailed: the network cannot be converted.
    """
    network, inputs = trained.network, trained.network.specification.inputs
    seed = trained.facts.experiment.training.seed
    windows = with_edge_cases(varied(trained.windows, inputs, LEAST_WINDOWS, seed), inputs)
    step = convert_step(network) if with_step else None
    return Converted(trained, convert(network), step, windows, keras_answers(network, windows))


def export(
    source: Converted,
    path: Path,
    costs_of: Callable[[bytes], dict[str, Any]],
    variant: Variant = "float32",
) -> Exported:
    """Quantise, compare with Keras, describe, write, and open what was written as a device would.

    Args:
        source: the network, converted.
        path: the .tflite to write.
        costs_of: what a flatbuffer takes, for the contract.
        variant: type of the 1x1 layers.

    Raises:
        CheckFailed: the flatbuffer is not the same function as the Keras network, in a runtime that
            runs it, by each of its signatures; or none does.
        InputError: the file cannot be written.
        DeviceInputError: no runtime is installed.
    """
    facts, windows, expected = source.trained.facts, source.windows, source.expected
    representative = {n: v[:LEAST_WINDOWS:REPRESENTATIVE] for n, v in windows.items()}
    step = None
    # Ranges of activations are those of windows: in integers a step would answer otherwise.
    if source.step is not None and variant != "int8":
        step = quantise(source.step, variant, STEP, {})
    model = slim(quantise(source.model, variant, WINDOW, representative), SEQUENCE, step)
    tolerance = TOLERANCES[variant]
    found: dict[str, Answers] = {}
    parity: dict[str, Parity] = {}
    not_loaded: dict[str, str] = {}
    for runtime in installed():
        name = version_of(runtime)
        try:
            found[name] = answers_of(runtime, model, WINDOW, windows)
        except NotLoaded as reason:
            not_loaded[name] = str(reason)
            continue
        try:
            parity[name] = check_parity(
                found[name], expected, facts.threshold.probability, tolerance
            )
            _check_others(source, model, runtime, found[name], step is not None)
        except CheckFailed as error:
            raise CheckFailed(f"{variant} in {name}: {error}") from error
    if not parity:
        raise CheckFailed(f"no runtime runs the {variant} artifact: {not_loaded}")
    answered = next(iter(found.values()))
    costs = costs_of(model)
    terms = None if step is None else Step(source.trained.network)
    contract = contract_of(facts, costs, variant, parity, terms)
    vectors = _vectors(windows, answered.outputs)
    content = package(model, contract, vectors)
    write_atomically(path, content)
    open_artifact(path)
    worst = worst_windows(answered, expected, tolerance)
    return Exported(
        path=path,
        variant=variant,
        bytes=len(content),
        parity=parity,
        not_loaded=not_loaded,
        worst={name: values[worst] for name, values in windows.items()},
        costs=costs,
    )


def _check_others(
    source: Converted, model: bytes, runtime: str, by_window: Answers, with_step: bool
) -> None:
    """What the other signatures answer is what `score_window` does, in whatever runs that.

    Raises:
        CheckFailed: it is not, or the runtime does not run one of them.
    """
    facts = source.trained.facts
    ways = {SEQUENCE: lengthwise} | ({STEP: stepwise} if with_step else {})
    windows = {i.name: source.windows[i.name][-OTHERS:] for i in facts.experiment.features.inputs}
    expected = {name: values[-OTHERS:] for name, values in by_window.outputs.items()}
    for signature, ask in ways.items():
        try:
            found = ask(runtime, model, windows)
            check_parity(
                found, expected, facts.threshold.probability, TOLERANCES["float32"], WINDOW
            )
        except (CheckFailed, NotLoaded) as reason:
            mend = "; --no-step leaves it out" if signature == STEP else ""
            raise CheckFailed(f"{signature}, last {OTHERS} windows: {reason}{mend}") from reason


def _vectors(windows: Windows, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """The most suspicious window but for long ones, short ones of all probabilities, edge cases.

    A young account's window is padding but for a few transactions, and takes few bytes. Of the edge
    cases the single transaction, the amounts of 0 and the unknown values: those that a consumer
    meets on its first day.
    """
    among = len(windows["valid"]) - 7
    ranked = np.argsort(answers["fraud_probability"][:among], kind="stable")
    length = windows["valid"][ranked].sum(axis=1)
    short, longer = ranked[length <= SHORT], ranked[length <= LONG]
    places = np.linspace(0, len(short) - 1, SHORT_VECTORS if len(short) else 0).astype(int)
    chosen = [*map(int, longer[-1:]), *map(int, short[places])]
    return [
        vector(
            {name: values[i] for name, values in windows.items()},
            {name: float(values[i]) for name, values in answers.items()},
        )
        for i in dict.fromkeys([*chosen, among, among + 1, among + 6])
    ]
