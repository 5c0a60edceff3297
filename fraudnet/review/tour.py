"""What the tour's notebook shows, one call a section, so that its cells hold no logic."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
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


@dataclass
class Tour:
    """The way from transactions to a phone; the work goes on in a process beside this one.

    Each section waits for its step to be told (`fraudnet.review.tour_steps`), and for no later one.
    """

    source: Path
    folder: "TemporaryDirectory[str]"
    process: "subprocess.Popen[str]"
    told: dict[str, list[Any]] = field(default_factory=dict)

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

    def learning(self, share: float) -> HTML:
        """How far the training is, once it has gone through a share (0..1] of its passes."""
        epoch = next(each for each in self._epochs() if each["number"] >= share * each["of"])
        return paragraph(
            f"After pass {epoch['number']} of {epoch['of']} the loss is {epoch['loss']:.4f}."
        )

    def learning_curve(self) -> go.Figure:
        """The loss of every pass."""
        return tour_figures.learning_figure(list(self._epochs()))

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

    def _epochs(self) -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            self._wait("epoch", number)
            epoch = self.told["epoch"][number]
            yield epoch
            number += 1
            if number == epoch["of"]:
                return

    def _step(self, name: str) -> Any:  # noqa: ANN401
        self._wait(name, 0)
        return self.told[name][0]

    def _wait(self, name: str, number: int) -> None:
        """Read what is told until a step's result of a number, from 0, is there."""
        while len(self.told.get(name, [])) <= number:
            line = self.process.stdout.readline() if self.process.stdout else ""
            if not line:
                raise CheckFailed(f"the tour's work ended before its step {name!r}: {self._why()}")
            found = json.loads(line)
            self.told.setdefault(found["step"], []).append(found["result"])

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
    return Tour(found.resolve(), folder, process)
