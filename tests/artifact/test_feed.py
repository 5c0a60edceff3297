"""What a device is given, and that it then decides as the server does."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.artifact.feed_command import feed_of
from fraudnet.cli import main
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reputation import Snapshot
from fraudnet.errors import InputError
from fraudnet.windows.feed import Feed, FeedSource, snapshot_of, write_feed
from fraudnet.windows.histories import build_histories
from fraudnet.windows.specification import FeatureSpecification, Reputation
from tests.artifact.runtimes import in_a_process, need
from tests.training.world import World
from tests.windows.tables import DAY_US, Row, table_of

pytestmark = pytest.mark.xdist_group("trained")

DAYS = 3
END = datetime(2025, 3, 2, tzinfo=UTC)
BEGIN = END - timedelta(days=DAYS)
SECRET = {"is_fraud", "label_time", "fraud_kind"}
Given = dict[str, Any]


@pytest.fixture(scope="module")
def feed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return feed_of(
        world.data,
        world.trained.facts.experiment,
        world.trained.facts.receptive_field,
        DAYS,
        tmp_path_factory.mktemp("feed"),
    )


def read(path: Path) -> list[Given]:
    rows: list[Given] = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["timestamp"] = datetime.fromisoformat(row["timestamp"])
    return rows


def source_rows(world: World) -> list[Given]:
    """The data set by time, ties in the order of the file, without what is secret."""
    rows = sorted(world.table.to_pylist(), key=lambda row: row["timestamp"])
    return [{n: v for n, v in row.items() if n not in SECRET} for row in rows]


def reputation_of(world: World) -> dict[str, dict[str, int]]:
    """The counts of every transaction's counterparty, as the network is trained on them."""
    histories = world.prepared.histories
    ids = world.table["transaction_id"].to_pylist()
    names = [name for name in histories.columns if name.startswith("counterparty_")]
    columns = {name: histories.columns[name].astype(int).tolist() for name in names}
    return {
        ids[source]: {name: columns[name][at] for name in names}
        for at, source in enumerate(histories.source_row.tolist())
    }


def test_the_history_holds_the_last_rows_of_each_account_before_the_days(
    world: World, feed: Feed
) -> None:
    length, reputation = world.trained.facts.receptive_field, reputation_of(world)
    earlier = [row for row in source_rows(world) if row["timestamp"] < BEGIN]
    by_account: dict[str, list[Given]] = {}
    for row in earlier:
        by_account.setdefault(row["account_id"], []).append(row)
    kept = {row["transaction_id"] for rows in by_account.values() for row in rows[-(length - 1) :]}
    assert max(map(len, by_account.values())) > length - 1 > min(map(len, by_account.values())) - 1
    expected = [
        row | reputation[row["transaction_id"]] for row in earlier if row["transaction_id"] in kept
    ]
    assert read(feed.history) == expected


def test_the_days_hold_all_their_transactions(world: World, feed: Feed) -> None:
    rows = source_rows(world)
    assert len(feed.days) == DAYS
    for number, day in enumerate(feed.days):
        begin = BEGIN + timedelta(days=number)
        assert day.transactions.name == f"{begin:%Y-%m-%d}.jsonl"
        today = [row for row in rows if begin <= row["timestamp"] < begin + timedelta(days=1)]
        assert read(day.transactions) == today
        assert len(today) > 200


def test_nothing_of_labels_is_in_any_file(world: World, feed: Feed) -> None:
    kinds = {kind for kind in world.table["fraud_kind"].to_pylist() if kind}
    assert kinds
    for path in (feed.history, *(day.transactions for day in feed.days)):
        content = path.read_text()
        for word in SECRET | kinds:
            assert f'"{word}"' not in content


def test_the_snapshot_of_a_day_gives_each_row_the_counts_it_is_trained_on(
    world: World, feed: Feed
) -> None:
    reputation = reputation_of(world)
    names = list(next(iter(reputation.values())))
    terms = ReputationTerms(tuple(name.removeprefix("counterparty_") for name in names), 2.0)
    some_fraud = 0
    for day in feed.days:
        assert day.reputation is not None
        snapshot = Snapshot(day.reputation, terms)
        for row in read(day.transactions):
            moment = round(row["timestamp"].timestamp() * 1e6)
            counts = snapshot.counts(row["counterparty_id"], moment)
            found = {name: counts.get(name.removeprefix("counterparty_"), -1) for name in names}
            assert found == reputation[row["transaction_id"]]
            some_fraud += found["counterparty_fraud_30d"] > 0
    assert some_fraud > 20


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_the_device_decides_every_transaction_as_the_server_does(
    world: World, feed: Feed, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(runtime)
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", runtime)
    decisions = []
    for number, day in enumerate(feed.days):
        history = ("--history", feed.history) if number == 0 else ()
        done = in_a_process(
            "-m", "fraudnet", "score", "--artifact", world.artifact,
            "--store", tmp_path / "cases.sqlite", *history,
            "--reputation", day.reputation, day.transactions,
        )  # fmt: skip
        decisions += [json.loads(line) for line in done.stdout.splitlines()]
    ids = world.table["transaction_id"].to_pylist()
    place = {ids[source]: at for at, source in enumerate(world.prepared.histories.source_row)}
    at = [place[decision["transaction_id"]] for decision in decisions]
    within = world.prepared.histories.timestamp_us >= BEGIN.timestamp() * 1e6
    assert sorted(at) == np.flatnonzero(within).tolist()

    probability = np.array([decision["probability"] for decision in decisions])
    distance = np.array([decision["ood_distance"] for decision in decisions])
    flagged = np.array([decision["flagged"] for decision in decisions])
    assert probability == pytest.approx(world.answers["fraud_probability"][at], abs=1e-5)
    assert distance == pytest.approx(world.answers["ood_distance"][at], rel=1e-3)
    threshold = world.trained.facts.threshold.probability
    decided = world.answers["fraud_probability"][at] >= threshold
    unsure = np.abs(world.answers["fraud_probability"][at] - threshold) < 1e-5
    assert np.array_equal(flagged[~unsure], decided[~unsure])
    assert probability.std() > 0.01
    assert 0 < flagged.sum() < len(flagged) / 2


def test_the_command_writes_and_names_the_files(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--artifact", str(world.artifact), "--data", str(world.data)]
    output = tmp_path / "new" / "feed"
    assert main(["feed", *given, "--days", "2", "--output", str(output)]) == 0
    assert {path.name for path in output.iterdir()} == {
        "history.jsonl", "2025-02-28.jsonl", "2025-02-28.reputation",
        "2025-03-01.jsonl", "2025-03-01.reputation", "2025-03-01.increment",
    }  # fmt: skip
    said = capsys.readouterr().out
    for path in output.iterdir():
        assert str(path) in said
    day, made = output / "2025-02-28.reputation", tmp_path / "made"
    update = ["reputation", "update", str(day), str(output / "2025-03-01.increment")]
    assert main([*update, "--output", str(made)]) == 0
    assert made.read_bytes() == (output / "2025-03-01.reputation").read_bytes()
    capsys.readouterr()
    assert main(["reputation", "inspect", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["as_of"] == "2025-03-01T00:00:00.000000Z"
    assert main(["reputation", "inspect", str(made)]) == 0
    assert "counterparty_id" in capsys.readouterr().out
    assert main(["reputation", "inspect", str(output)]) == 2
    assert main([*update[:2], str(made), update[3]]) == 2
    assert "was made from another snapshot" in capsys.readouterr().err


def test_the_command_and_the_function_write_the_same(
    world: World, feed: Feed, tmp_path: Path
) -> None:
    given = ["--artifact", str(world.artifact), "--data", str(world.data), "--days", str(DAYS)]
    assert main(["feed", *given, "--output", str(tmp_path)]) == 0
    for path in feed.history.parent.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("days", "said"), [("0", "days is 0"), ("60", "the data begin on 2025-01-01 or later")]
)
def test_days_that_cannot_be_fed_are_status_2(
    world: World, days: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--artifact", str(world.artifact), "--data", str(world.data)]
    assert main(["feed", *given, "--days", days, "--output", str(tmp_path / "feed")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "feed").exists()


def test_a_directory_that_cannot_be_made_is_said(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = world.trained.facts
    with pytest.raises(InputError, match="cannot be made"):
        feed_of(world.data, facts.experiment, 29, 1, tmp_path / "file" / "feed")


def test_labels_are_not_needed(world: World, feed: Feed, tmp_path: Path) -> None:
    header, *lines = world.data.read_text().splitlines()
    names = header.replace('"', "").split(",")
    unlabelled = tmp_path / "unlabelled.csv"
    rows = [line.split(",") for line in lines if line.count(",") == len(names) - 1]
    kept = [at for at, name in enumerate(names) if name not in SECRET]
    written = [",".join(row[at] for at in kept) for row in (names, *rows)]
    unlabelled.write_text("\n".join(written) + "\n")
    facts = world.trained.facts
    found = feed_of(unlabelled, facts.experiment, facts.receptive_field, DAYS, tmp_path / "feed")
    for day, other in zip(found.days, feed.days, strict=True):
        # The line with a label that is none can now be used.
        ids = {row["transaction_id"] for row in read(other.transactions)}
        today = [row for row in read(day.transactions) if row["transaction_id"] in ids]
        assert today == read(other.transactions)


def test_without_reputation_there_is_no_snapshot(world: World, tmp_path: Path) -> None:
    table = world.table
    features = world.trained.facts.experiment.features.model_copy(update={"reputation": None})
    source = FeedSource(table, build_histories(table, features, 7.0), ("fraud_kind",))
    found = write_feed(source, 5, 1, tmp_path)
    assert [day.reputation for day in found.days] == [None]
    assert {path.name for path in tmp_path.iterdir()} == {"history.jsonl", "2025-03-01.jsonl"}
    assert not [n for n in read(found.history)[0] if n.startswith("counterparty_count")]
    with pytest.raises(ValueError, match="read no reputation"):
        snapshot_of(source, BEGIN, tmp_path / "snapshot")


def test_labels_that_come_after_a_day_do_not_change_its_snapshot(
    world: World, tmp_path: Path
) -> None:
    prepared = world.prepared
    later = prepared.histories.known_us > BEGIN.timestamp() * 1e6
    flipped = np.where(later, 1 - prepared.histories.is_fraud, prepared.histories.is_fraud)
    changed = replace(prepared.histories, is_fraud=flipped.astype(np.int8))
    written = [
        snapshot_of(FeedSource(world.table, histories, ()), BEGIN, tmp_path / name).read_bytes()
        for name, histories in (("as it is", prepared.histories), ("flipped", changed))
    ]
    assert written[0] == written[1]
    assert later.sum() > 1000


def test_a_transaction_at_midnight_does_not_count_itself_though_its_label_is_known(
    tmp_path: Path,
) -> None:
    midnight = 20_000 * DAY_US
    rows = [Row("a", midnight - 1, is_fraud=1), Row("b", midnight, is_fraud=1)]
    features = FeatureSpecification(reputation=Reputation(episode_days="none", windows_days=(1,)))
    histories = build_histories(table_of(rows), features, 0.0)
    day = datetime.fromtimestamp(midnight / 1e6, UTC)
    path = snapshot_of(FeedSource(table_of(rows), histories, ()), day, tmp_path / "snapshot")
    snapshot = Snapshot(path, ReputationTerms(("count_1d", "fraud_1d"), 2.0))
    trained_on = {
        n: int(histories.columns[f"counterparty_{n}"][1]) for n in ("count_1d", "fraud_1d")
    }
    assert snapshot.counts("m", midnight) == trained_on == {"count_1d": 1, "fraud_1d": 1}
