"""From a file to periods: vocabularies of the training rows alone, every row accounted for."""

import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from fraudnet.errors import InputError
from fraudnet.training.prepare import Prepared, prepare, told_before_training
from fraudnet.transactions.labels import SCHEMA
from fraudnet.windows.labels import known_rows
from fraudnet.windows.on_disk import Spool
from fraudnet.windows.periods import microseconds
from tests.training.world import BAD_LINES, ONLY_LATER, TRAINING_END, experiment, table_read


@pytest.fixture(scope="module")
def prepared(payments: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    quarantine = tmp_path_factory.mktemp("prepared") / "quarantine.parquet"
    return prepare(payments, experiment(), quarantine)


@pytest.fixture(scope="module")
def rows(payments: Path) -> list[dict[str, Any]]:
    """The good lines, read by pyarrow alone."""
    lines = payments.read_text().splitlines(keepends=True)[: -len(BAD_LINES)]
    good = payments.with_name("good.csv")
    good.write_text("".join(lines))
    options = pacsv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=True)
    found: list[dict[str, Any]] = pacsv.read_csv(good, convert_options=options).to_pylist()
    return found


def is_before(row: dict[str, Any], moment: datetime) -> bool:
    return bool(row["timestamp"] < moment)


def test_the_vocabulary_is_that_of_the_training_rows_by_frequency_then_name(
    prepared: Prepared, rows: list[dict[str, Any]]
) -> None:
    assert prepared.split.training.end == TRAINING_END
    counts = Counter(row["category"] for row in rows if is_before(row, TRAINING_END))
    del counts[None]
    (column,) = prepared.experiment.features.categorical
    assert list(column.vocabulary) == sorted(counts, key=lambda name: (-counts[name], name))


def test_a_category_that_comes_later_is_unknown(
    prepared: Prepared, rows: list[dict[str, Any]]
) -> None:
    vocabulary = prepared.experiment.features.categorical[0].vocabulary
    index = dict.fromkeys([ONLY_LATER, None], 0)
    index |= {name: position for position, name in enumerate(vocabulary, start=1)}
    expected = [index[rows[at]["category"]] for at in prepared.histories.source_row]
    assert prepared.histories.columns["category"].tolist() == expected
    assert sum(row["category"] == ONLY_LATER for row in rows) > 100


def test_the_vocabulary_does_not_depend_on_what_comes_later(
    payments: Path, prepared: Prepared, tmp_path: Path
) -> None:
    header, *lines = payments.read_text().splitlines(keepends=True)
    last = f"{TRAINING_END:%Y-%m-%dT%H:%M:%SZ}"
    kept = [
        line if line.split(",")[1].strip('"') < last else line.replace("travel", "aviation")
        for line in lines
    ]
    assert kept != lines
    changed = tmp_path / "changed.csv"
    changed.write_text("".join([header, *kept]))
    assert prepare(changed, experiment()).experiment.features == prepared.experiment.features


def test_a_vocabulary_that_is_given_stays(payments: Path) -> None:
    given = "features.categorical=[{column='category', vocabulary=['travel', 'food']}]"
    found = prepare(payments, experiment(given))
    assert found.experiment.features.categorical[0].vocabulary == ("travel", "food")
    assert set(np.unique(found.histories.columns["category"])) <= {0, 1, 2}


def test_rows_in_are_rows_used_and_rows_quarantined(
    prepared: Prepared, rows: list[dict[str, Any]]
) -> None:
    report = prepared.report
    assert (report.rows_in, report.rows_used, report.rows_quarantined) == (
        len(rows) + len(BAD_LINES),
        len(rows),
        len(BAD_LINES),
    )
    assert report.reasons == dict.fromkeys(BAD_LINES, 1)
    assert len(table_read(prepared)) == len(prepared.histories) == len(rows)
    assert sorted(prepared.histories.source_row) == list(range(len(rows)))


def test_the_quarantine_holds_the_bad_lines(
    payments: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    quarantine = tmp_path / "quarantine.parquet"
    prepare(payments, experiment(), quarantine)
    held = pq.read_table(quarantine).to_pylist()
    first = len(rows) + 2
    assert [(entry["line"], entry["reason"]) for entry in held] == list(
        enumerate(BAD_LINES, start=first)
    )


def test_the_delay_of_labels_is_that_of_the_experiment(
    payments: Path, rows: list[dict[str, Any]]
) -> None:
    histories = prepare(payments, experiment("split.label_delay_days=2")).histories
    late = {at for at, row in enumerate(rows) if row["label_time"] is not None}
    delay = histories.known_us - histories.timestamp_us
    own = np.isin(histories.source_row, list(late))
    assert set(delay[~own]) == {2 * 86_400_000_000}
    assert len(set(delay[own])) > 100


def test_a_file_without_labels_is_refused(payments: Path, tmp_path: Path) -> None:
    skipping = pacsv.ParseOptions(invalid_row_handler=lambda _: "skip")
    table = pacsv.read_csv(payments, parse_options=skipping)
    path = tmp_path / "unlabelled.parquet"
    pq.write_table(table.drop_columns(["is_fraud"]), path)
    with pytest.raises(InputError, match="there is no column 'is_fraud'"):
        prepare(path, experiment())


def test_a_column_that_a_feature_reads_must_be_there(payments: Path) -> None:
    with pytest.raises(InputError, match="there is no column 'speed'"):
        prepare(payments, experiment("features.numeric=['speed']"))


def test_a_folder_without_room_is_refused_in_one_line(
    payments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limited = experiment("data.memory_limit_mb=500")
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "add", full)
        with pytest.raises(InputError, match=r"cannot hold the windows .* set TMPDIR"):
            prepare(payments, limited)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"no folder for the windows .* set TMPDIR"):
        prepare(payments, limited)


@pytest.fixture(scope="module")
def grouped(payments: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The payments with a column that no recipe declares, and which differs by row."""
    skipping = pacsv.ParseOptions(invalid_row_handler=lambda _: "skip")
    table = pacsv.read_csv(payments, parse_options=skipping)
    band = np.random.default_rng(0).choice(["young", "old"], len(table))
    path = tmp_path_factory.mktemp("grouped") / "grouped.parquet"
    pq.write_table(table.append_column("age_band", [band]), path)
    return path


GROUPS = 'evaluation.group_columns=["age_band", "place"]'


@pytest.mark.parametrize("where", [[], ["data.memory_limit_mb=500"]], ids=["memory", "disk"])
def test_the_evaluations_columns_come_with_their_rows(grouped: Path, where: list[str]) -> None:
    prepared = prepare(grouped, experiment(GROUPS, *where))
    source = pq.read_table(grouped, columns=["transaction_id", "age_band", "fraud_kind"])
    kept = table_read(prepared)["transaction_id"].to_pylist()
    rows = {row["transaction_id"]: row for row in source.to_pylist()}
    assert prepared.slices.keys() == {"age_band", "place", "fraud_kind"}
    for name in ("age_band", "fraud_kind"):
        column = prepared.slices[name]
        values = [column.values[code] if code >= 0 else None for code in column.code]
        assert values == [rows[each][name] or None for each in kept]
    if prepared.folder:
        prepared.folder.cleanup()


def test_no_trace_of_the_evaluations_columns_is_in_what_is_learnt_from(grouped: Path) -> None:
    without = prepare(grouped, experiment("evaluation.group_columns=[]"))
    for where in ([], ["data.memory_limit_mb=500"]):
        found = prepare(grouped, experiment(GROUPS, *where))
        assert found.fingerprint == without.fingerprint
        assert found.histories.columns.keys() == without.histories.columns.keys()
        if found.folder:
            found.folder.cleanup()
    assert without.slices.keys() == {"fraud_kind"}


def test_a_group_column_must_be_there_and_a_kind_may_lack(grouped: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no column 'gender'"):
        prepare(grouped, experiment('evaluation.group_columns=["gender"]'))
    table = pq.read_table(grouped).drop_columns(["fraud_kind", "place"])
    path = tmp_path / "bare.parquet"
    pq.write_table(table, path)
    assert prepare(path, experiment('evaluation.group_columns=["age_band"]')).slices.keys() == {
        "age_band"
    }
    with pytest.raises(InputError, match="there is no column 'place'"):
        prepare(path, experiment())


@pytest.mark.parametrize("where", [[], ["data.memory_limit_mb=500"]], ids=["memory", "disk"])
def test_labels_of_a_review_come_with_the_moment_of_the_verdict(
    payments: Path, rows: list[dict[str, Any]], tmp_path: Path, where: list[str]
) -> None:
    moment = TRAINING_END - timedelta(days=1)
    judged = [row for row in rows if row["timestamp"] < moment][::50]
    labels = {row["transaction_id"]: 1 - (row["is_fraud"] or 0) for row in judged}
    path = tmp_path / "labels.parquet"
    columns = [[*labels, "unknown"], [*labels.values(), 1], [moment] * (len(labels) + 1)]
    pq.write_table(pa.table(columns, schema=SCHEMA), path)
    prepared = prepare(payments, experiment(f"data.labels='{path}'", *where))
    histories, report = prepared.histories, prepared.labels
    assert report is not None
    assert (report.labels, report.unknown) == (len(labels) + 1, 1)
    assert report.added == sum(row["is_fraud"] is None for row in judged)
    assert report.changed == len(judged) - report.added
    at = microseconds(moment)
    for place, row in enumerate(histories.source_row):
        own = rows[row]["is_fraud"]
        label = labels.get(rows[row]["transaction_id"], -1 if own is None else own)
        assert histories.is_fraud[place] == label
        assert (histories.known_us[place] == at) == (rows[row]["transaction_id"] in labels)
    # Nothing that is fitted before the verdicts knows them.
    known = [
        known_rows(histories, prepared.split.training, moment + timedelta(seconds=s)).rows
        for s in (-1, 0)
    ]
    assert known[1].sum() - known[0].sum() == sum(
        bool(prepared.split.training.contains(np.array([microseconds(row["timestamp"])]))[0])
        for row in judged
    )
    if prepared.folder:
        prepared.folder.cleanup()


def test_labels_may_be_all_that_a_source_has(payments: Path, tmp_path: Path) -> None:
    skipping = pacsv.ParseOptions(invalid_row_handler=lambda _: "skip")
    table = pacsv.read_csv(payments, parse_options=skipping)
    pq.write_table(table.drop_columns(["is_fraud"]), tmp_path / "bare.parquet")
    ids = table["transaction_id"].to_pylist()[:100]
    columns = [ids, [n % 2 for n in range(100)], [TRAINING_END + timedelta(days=99)] * 100]
    pq.write_table(pa.table(columns, schema=SCHEMA), tmp_path / "labels.parquet")
    found = prepare(
        tmp_path / "bare.parquet", experiment(f"data.labels='{tmp_path / 'labels.parquet'}'")
    )
    assert np.sum(found.histories.is_fraud >= 0) == 100


def test_what_there_is_to_learn_from_is_told_before_it_is(
    prepared: Prepared, rows: list[dict[str, Any]]
) -> None:
    delay = timedelta(days=prepared.experiment.split.label_delay_days)
    expected = []
    for what, period in (
        ("to learn from", prepared.split.training),
        ("to calibrate on", prepared.split.validation),
    ):
        labels = [
            row["is_fraud"]
            for row in rows
            if period.begin <= row["timestamp"] < period.end
            and row["is_fraud"] is not None
            and (row["label_time"] or row["timestamp"] + delay) <= period.end + delay
        ]
        expected.append(
            f"{what}: {len(labels):,} labelled, {sum(labels):,} of them frauds ({period})"
        )
    *counts, unread = told_before_training(prepared).splitlines()
    assert counts == expected
    assert unread.startswith("not read by the network: place; name under features.categorical")


def test_columns_that_are_read_or_not_there_are_not_told_as_unread(payments: Path) -> None:
    asked = experiment(
        'features.categorical=[{column="category"},{column="place"}]', "evaluation.group_columns=[]"
    )
    assert "not read" not in told_before_training(prepare(payments, asked))
