"""An artifact timed in every runtime that is installed: the network alone, and whole scoring."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.latency.answering import (
    NotLoaded,
    Windows,
    answers_of,
    installed_with_tensorflow,
    version_of,
)
from fraudnet.latency.percentiles import percentiles
from fraudnet.latency.scoring import Workload, time_scoring

SINGLE, SCORING = "single inferences", "whole scoring"
Samples = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        threads: numbers of threads that the runtimes may use, each measured.
        repetitions: that are timed, warmed up.
        cold: that are timed with empty caches; 0: none.
    """

    threads: Sequence[int] = (1,)
    repetitions: int = 2000
    cold: int = 200


@dataclass(frozen=True)
class Bench:
    """What was measured; every time in microseconds.

    Attributes:
        sha256: of the artifact.
        single: of one inference, a row a runtime, number of threads, and warm or cold.
        scoring: of a whole decision, likewise.
        not_run: why a runtime was not measured, by its name and version.
        samples: the times behind the rows, by panel of the figure and label.
    """

    sha256: str
    single: list[dict[str, Any]] = field(default_factory=list)
    scoring: list[dict[str, Any]] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=lambda: {SINGLE: {}, SCORING: {}})


@dataclass(frozen=True)
class Opened:
    """An artifact that answers as it says, and what it is asked to answer.

    Attributes:
        sha256: of the file.
        model: the file; interpreters ignore what follows the flatbuffer.
        signature: to call.
        windows: of its test vectors, [V, T] by input.
    """

    sha256: str
    model: bytes
    signature: str
    windows: Windows


def open_with_windows(path: Path) -> Opened:
    """Check an artifact as a device does, and take its test vectors.

    Raises:
        ArtifactError: the file is no whole artifact, or does not answer as it says.
        DeviceInputError: no TFLite runtime is installed.
    """
    artifact = open_artifact(path)
    vectors = read_documents(path)["vectors.json"]
    windows = {
        entry.name: np.array([vector["inputs"][entry.name] for vector in vectors], entry.dtype)
        for entry in artifact.contract.inputs
    }
    return Opened(artifact.sha256, path.read_bytes(), artifact.contract.signature, windows)


def machine() -> dict[str, Any]:
    """Where times are from."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


def bench(
    workload: Workload, extent: Extent, tell: Callable[[str], None] = lambda _: None
) -> Bench:
    """Time single inferences, on the artifact's own test vectors, and whole decisions.

    Args:
        workload: the artifact, and what is scored with it.
        extent: how much.
        tell: is called with what is timed next.

    Raises:
        ArtifactError: the artifact cannot be used.
        DeviceInputError: no runtime is installed, or the workload cannot be scored.
    """
    opened = open_with_windows(Path(workload.artifact))
    found = Bench(opened.sha256)
    cases = [
        (threads, warm)
        for warm in ((True, False) if extent.cold else (True,))
        for threads in extent.threads
    ]
    for runtime in installed_with_tensorflow():
        for threads, warm in cases:
            tell(f"{version_of(runtime)}, {threads_of(threads)}, {'warm' if warm else 'cold'}")
            try:
                _measure(found, opened, workload, extent, (runtime, threads, warm))
            except NotLoaded as reason:
                found.not_run[version_of(runtime)] = str(reason)
                break
    return found


def _measure(
    found: Bench, opened: Opened, workload: Workload, extent: Extent, case: tuple[str, int, bool]
) -> None:
    runtime, threads, warm = case
    name = {"runtime": runtime, "version": version_of(runtime), "threads": threads, "warm": warm}
    label = f"{name['version']}, {threads_of(threads)}, {'warm' if warm else 'cold'}"
    repetitions = extent.repetitions if warm else extent.cold
    answers = answers_of(
        runtime, opened.model, opened.signature, opened.windows,
        threads=threads, repetitions=repetitions, cold=not warm,
    )  # fmt: skip
    found.single.append(
        name
        | percentiles(answers.latency_us)
        | {"loading_us": answers.loading_us, "first_us": answers.first_us}
    )
    found.samples[SINGLE][label] = answers.latency_us
    scored = time_scoring(
        workload, runtime, threads=threads, repetitions=repetitions, cold=not warm
    )
    found.scoring.append(
        name | percentiles(scored.latency_us) | {"flagged_share": scored.flagged_share}
    )
    found.samples[SCORING][label] = scored.latency_us


def threads_of(threads: int) -> str:
    """In words."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def as_dictionary(found: Bench, workload: Workload) -> dict[str, Any]:
    """As `fraudnet bench --json` prints it; a percentile that was not measured is None."""
    return {
        "artifact": workload.artifact,
        "sha256": found.sha256,
        "measured_on": machine(),
        "workload": asdict(workload),
        "single": found.single,
        "scoring": found.scoring,
        "not_run": found.not_run,
    }
