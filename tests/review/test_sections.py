"""What a real artifact and a real trained network say of a case, and where one is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from fraudnet.device import Options, Scorer
from fraudnet.device.transactions import Transaction
from fraudnet.review.cases import Case, list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.explainers import Explainers
from fraudnet.review.importing import import_store
from fraudnet.review.panel import ReviewPanel
from fraudnet.review.sections import Sections
from fraudnet.review.shown import Shown
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

NETWORK_SECTIONS = ("Gradients", "Attention", "Familiar")


def told(shown: Sequence[Shown]) -> str:
    """The texts and tables of a section."""
    return " ".join(str(each.data) for each in shown if not isinstance(each, go.Figure))


def figures(shown: Sequence[Shown]) -> list[go.Figure]:
    return [each for each in shown if isinstance(each, go.Figure)]


@pytest.fixture(scope="module")
def database(world: World, tmp_path_factory: pytest.TempPathFactory) -> CaseDatabase:
    """What a device flags of the world's accounts with frauds."""
    folder = tmp_path_factory.mktemp("sections")
    rows = world.table.to_pylist()
    accounts = {row["account_id"] for row in rows if row["is_fraud"]}
    counts = {
        entry.name: 3 for entry in world.trained.network.specification.inputs if entry.statistic
    }
    stream = [
        Transaction(
            row["transaction_id"], row["account_id"], int(row["timestamp"].timestamp() * 1e6),
            row["counterparty_id"], row["amount"],
            {"category": row["category"], "distance": row["distance"]},
        )
        for row in sorted(rows, key=lambda row: row["timestamp"])
        if row["account_id"] in accounts
    ]  # fmt: skip
    with Scorer(world.artifact, folder / "cases.sqlite", options=Options(durable=False)) as scorer:
        half = len(stream) // 2
        scorer.add_history(replace(e, columns={**e.columns, **counts}) for e in stream[:half])
        for each in stream[half:]:
            scorer.score(each)
    made = CaseDatabase(folder / "reviews.sqlite", create=True)
    import_store(made, DeviceStore(folder / "cases.sqlite"))
    return made


@pytest.fixture(scope="module")
def case(database: CaseDatabase) -> Case:
    """Of the longest window."""
    cases = [open_case(database, case_id) for case_id in list_cases(database)["case_id"]]
    return max(cases, key=lambda case: len(case.window))


def test_what_the_artifact_and_the_network_say_goes_together(
    world: World, database: CaseDatabase, case: Case
) -> None:
    sections = Sections(database, Explainers(world.artifact, world.model))
    by_device, by_artifact = figures(sections.draw("Reasons", case))
    assert "now gives" not in told(sections.draw("Reasons", case))
    decided = case.flags["fraud_probability"].iloc[-1]
    for figure in (by_device, by_artifact):
        assert figure.layout.annotations[0].text == f"as it is: {decided:.3f}"
    # The device's strongest reason is among those of the artifact, which looks at all.
    strongest = case.flags["reasons"].iloc[-1][0]["probability_without"]
    assert min(by_artifact.data[0].x) <= strongest + 1e-4

    gradients = sections.draw("Gradients", case)
    assert "now gives" not in told(gradients)
    assert f"fields of all {len(case.window)} transactions" in told(gradients)
    assert ("agrees on what moved" in told(gradients)) != ("do not agree" in told(gradients))
    (bars,) = figures(gradients)[0].data
    assert len(bars.x) == len(figures(gradients)[0].layout.yaxis.ticktext) == 8
    assert list(bars.x) == sorted(bars.x)

    attention = sections.draw("Attention", case)
    assert "farthest out is channel" in told(attention)
    channels = sum(len(trace.x) for trace in figures(attention)[0].data)
    expanded = world.trained.network.config.width * world.trained.network.config.expansion
    assert channels == 2 * expanded

    familiar = told(sections.draw("Familiar", case))
    assert f"transaction is {case.flags['ood_distance'].iloc[-1]:.2f}" in familiar
    assert "99 % were below" in familiar
    assert "of the sample, number" in familiar
    assert case.window["transaction_id"].iloc[-1] not in familiar  # itself is no neighbour


def test_what_is_missing_is_said_and_how_to_give_it(database: CaseDatabase, case: Case) -> None:
    sections = Sections(database)
    assert "FRAUDNET_ARTIFACT" in told(sections.draw("Reasons", case))
    assert len(figures(sections.draw("Reasons", case))) == 1  # the device's own
    for name in NETWORK_SECTIONS:
        assert "FRAUDNET_MODEL" in told(sections.draw(name, case))


def test_a_page_shows_what_the_network_says_if_it_is_told_to(
    world: World, database: CaseDatabase
) -> None:
    for on_page in (False, True):
        explainers = Explainers(world.artifact, world.model, on_page=on_page)
        panel = ReviewPanel(database, "ana", Sections(database, explainers))
        page = panel._repr_mimebundle_()["text/html"]
        for name in NETWORK_SECTIONS:
            assert (f": {name}</h3>" in page) == on_page
        assert ("Integrated gradients share" in page) == on_page


def test_another_artifact_is_refused_and_the_network_says_that_it_differs(
    world: World, database: CaseDatabase, case: Case
) -> None:
    other = replace(
        case, flags=case.flags.assign(artifact_sha256="ab" * 32, fraud_probability=0.01)
    )
    sections = Sections(database, Explainers(world.artifact, world.model))
    assert "did not decide case" in told(sections.draw("Reasons", other))
    gradients = told(sections.draw("Gradients", other))
    assert "where 0.010 was decided by" in gradients
    assert "no artifact of this case to check it against" in gradients


def test_files_that_cannot_be_used_are_said(
    database: CaseDatabase, case: Case, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no artifact")
    sections = Sections(database, Explainers(broken, tmp_path))
    assert "broken.tflite" in told(sections.draw("Reasons", case))
    assert str(tmp_path) in told(sections.draw("Gradients", case))


def test_an_account_without_a_past_has_no_usual(
    world: World, database: CaseDatabase, case: Case
) -> None:
    alone = replace(case, window=case.window[-1:], stored=case.stored[-1:])
    sections = Sections(database, Explainers(world.artifact, world.model))
    assert "no earlier transactions" in told(sections.draw("Attention", alone))
    assert "of the sample, number" in told(sections.draw("Familiar", alone))
    for name in ("Timeline", "Score", "Reasons", "Gradients"):
        assert figures(sections.draw(name, alone))
