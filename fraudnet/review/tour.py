"""What the tour's notebook shows, one call a section, so that its cells hold no logic."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from IPython.display import HTML

import fraudnet
from fraudnet.energy.assess import assess
from fraudnet.errors import CheckFailed, InputError
from fraudnet.review import tour_figures
from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.places import find_upwards
from fraudnet.review.tables import paragraph, table
from fraudnet.review.timeline import timeline_figure
from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe

SAMPLE = Path("data/sample_transactions.csv.gz")
DEVICE, INFERENCES_PER_DAY, MOST_PERCENT = "pixel-8", 5000, 1.0
CASE_COLUMNS = [
    "case_id", "account_id", "timestamp", "amount", "counterparty_id", "category",
    "fraud_probability", "ood_distance", "expected_loss",
]  # fmt: skip
LOG = "log.txt"
PATIENCE_SECONDS = 4.0
"""So long a cell that says what is being done waits for it at most."""


@dataclass
class Tour:
    """The way from transactions to a phone; the work goes on in a process beside this one.

    Each section waits for its step to be told (`fraudnet.review.tour_steps`), and for no later one.

    Attributes:
        source: the transactions.
        folder: of the files that are made.
        lines: that the work tells, as they come; None: it has ended.
        told: results by step, in the order in which they came.
        since: when the work began, on the monotonic clock.
    """

    source: Path
    folder: "TemporaryDirectory[str]"
    lines: "Queue[str | None]"
    told: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    since: float = field(default_factory=time.monotonic)

    @cached_property
    def table(self) -> pa.Table:
        """The transactions in canonical columns, with `fraud_kind`."""
        recipe = load_recipe("canonical").with_report(["fraud_kind"])
        return read_transactions(self.source, recipe).table

    def summary(self) -> HTML:
        """How many transactions there are, and of how many accounts."""
        span = pc.min_max(self.table["timestamp"]).as_py()
        return paragraph(
            f"{self.source.name}: {len(self.table):,} transactions of "
            f"{pc.count_distinct(self.table['account_id']).as_py():,} accounts from "
            f"{span['min']:%Y-%m-%d} to {span['max']:%Y-%m-%d}, "
            f"{pc.sum(self.table['is_fraud']).as_py():,} of them frauds."
        )

    def transactions(self) -> go.Figure:
        """What was paid when."""
        return tour_figures.transactions_figure(self.table)

    def windows(self) -> go.Figure:
        """What the network reads at one transaction of each kind."""
        return tour_figures.windows_figure(self._step("windows"))

    def network(self) -> HTML:
        """Its layers and what they cost."""
        found = self._step("network")
        rows = [
            {
                "layer": layer["name"],
                "positions": layer["positions"],
                "channels": layer["channels"],
                "parameters": f"{layer['parameters']:,}",
                "looks back on": layer["receptive_field"],
                "multiply-accumulates": f"{layer['macs']:,}",
            }
            for layer in found["layers"]
        ]
        return table(pd.DataFrame(rows), len(rows))

    def network_in_a_sentence(self) -> HTML:
        """Its size in one sentence."""
        found = self._step("network")
        return paragraph(
            f"{found['parameters']:,} numbers to learn; {found['macs']:,} multiply-accumulates for "
            f"one answer, {found['macs'] / found['standard_macs']:.0%} of what standard "
            f"convolutions would take; it looks back on {found['receptive_field']} transactions."
        )

    def meanwhile(self, step: str) -> HTML | None:
        """Wait for a step, but not for long; what is being done, if it is not there by then."""
        if self._read(lambda: bool(self.told[step]), PATIENCE_SECONDS):
            return None
        return paragraph(f"{self._doing()}.")

    def learning(self) -> HTML | None:
        """Wait for the training, but not for long; how far it is, if it is not over by then."""
        if self._read(self._learnt, PATIENCE_SECONDS):
            return None
        if not self.told["epoch"]:
            return paragraph(f"{self._doing()}.")
        last = self.told["epoch"][-1]
        return paragraph(
            f"After pass {last['number']} of {last['of']} the loss is {last['loss']:.4f}."
        )

    def learning_curve(self) -> go.Figure:
        """The loss of every pass."""
        self._read(self._learnt)
        return tour_figures.learning_figure(self.told["epoch"])

    def spectra(self) -> go.Figure:
        """How many directions the 1x1 layers make use of."""
        return tour_figures.spectra_figure(self._step("spectra"))

    def reliability(self) -> go.Figure:
        """Whether the probabilities are true."""
        return tour_figures.reliability_figure(self._step("calibration"))

    def distances(self) -> go.Figure:
        """How far genuine, fraudulent and unfamiliar transactions are from the familiar."""
        return tour_figures.distance_figure(self._step("distance"))

    def artifact(self) -> HTML:
        """The one file, in a sentence."""
        found = self._step("artifact")
        return paragraph(
            f"fraud.tflite: {found['bytes']:,} bytes. On {found['windows']:,} windows its "
            f"probability differs from Keras's by at most "
            f"{found['worst_probability_difference']:.1e}, in {' and in '.join(found['runtimes'])}."
        )

    def energy(self) -> go.Figure:
        """What the file takes of a phone's battery."""
        path = Path(self._step("artifact")["path"])
        report = assess(path, DEVICE, INFERENCES_PER_DAY, max_battery_percent=MOST_PERCENT)
        return tour_figures.energy_figure(report)

    def flagged_case(self) -> go.Figure | HTML:
        """The flagged transaction with the highest expected loss."""
        cases = CaseDatabase(self._step("cases")["database"])
        queue = list_cases(cases)
        if queue.empty:
            return paragraph("No transaction of these days was flagged.")
        return timeline_figure(open_case(cases, int(queue["case_id"].iloc[0])))

    def flagged_cases(self, rows: int = 5) -> HTML:
        """The riskiest of the flagged transactions."""
        cases = CaseDatabase(self._step("cases")["database"])
        return table(list_cases(cases)[CASE_COLUMNS], rows)

    def _learnt(self) -> bool:
        epochs = self.told["epoch"]
        return bool(epochs) and epochs[-1]["number"] == epochs[-1]["of"]

    def _doing(self) -> str:
        begun = self.told["begun"] or ["the work begins"]
        return f"{time.monotonic() - self.since:.0f} s gone by; {begun[-1]}"

    def _step(self, name: str) -> Any:  # noqa: ANN401
        self._read(lambda: bool(self.told[name]))
        return self.told[name][0]

    def _read(self, enough: Callable[[], bool], seconds: float | None = None) -> bool:
        """Read what is told until it is enough, or for so many seconds; whether it was enough."""
        end = None if seconds is None else time.monotonic() + seconds
        while not enough():
            try:
                line = self.lines.get(timeout=end and max(0.0, end - time.monotonic()))
            except Empty:
                return False
            if line is None:
                self.lines.put(None)  # so that the next cell is told, too
                raise CheckFailed(f"the tour's work ended early: {self._why()}")
            found = json.loads(line)
            self.told[found["step"]].append(found["result"])
        return True

    def _why(self) -> str:
        said = (Path(self.folder.name) / LOG).read_text(encoding="utf-8", errors="replace")
        return (said.strip().splitlines() or ["it said nothing"])[-1]


def begin_tour(source: Path = SAMPLE) -> Tour:
    """Begin the work; it ends with this process at the latest, and all its files go then, too.

    Args:
        source: labelled transactions; a relative path is looked for in the working directory, then
            in each directory above it.

    Raises:
        InputError: the transactions are not there.
    """
    found = find_upwards(source)
    if found is None:
        raise InputError(
            f"{source}: no such file in {Path.cwd()} or above it; run the tour in a clone of "
            "fraudnet"
        )
    folder = TemporaryDirectory(prefix="fraudnet-tour-")
    # As the command line has it: their chatter hides what we have to say.
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "TQDM_DISABLE": "1"}
    places = [str(Path(fraudnet.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | quiet | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    with (Path(folder.name) / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fraudnet.review.tour_steps", str(found), folder.name],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder.name,
            env=environment,
        )
    lines: Queue[str | None] = Queue()
    Thread(target=_pass_on, args=(process, lines), daemon=True).start()
    return Tour(found.resolve(), folder, lines)


def _pass_on(process: "subprocess.Popen[str]", lines: "Queue[str | None]") -> None:
    """Put each line where it can be waited for with a limit; None when the work has ended."""
    with process:
        for line in process.stdout or ():
            lines.put(line)
    lines.put(None)
