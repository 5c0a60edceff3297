import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.figures import queue_figure
from fraudnet.review.importing import import_store
from fraudnet.review.text import brief
from fraudnet.review.timeline import course_figure, timeline_figure, usual_band
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import HOSTILE, THRESHOLD


def traces(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def values_of(trace: go.Scatter) -> list[float]:
    return [float(value) for value in trace.y]


@given(st.lists(st.floats(0.01, 1e6), max_size=50), st.integers(2, 12))
def test_usual_band_is_that_of_the_earlier_amounts_alone(amounts: list[float], count: int) -> None:
    band = usual_band(pd.Series(amounts, dtype="float64"), count, least=2)
    for index in range(len(amounts)):
        earlier = amounts[max(0, index - count) : index]
        row = band.iloc[index]
        if len(earlier) < 2:
            assert row.isna().all()
            continue
        expected = np.quantile(earlier, [0.1, 0.5, 0.9])
        assert row[["low", "median", "high"]].tolist() == pytest.approx(expected, rel=1e-6)


def test_timeline_draws_the_window(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    figure = timeline_figure(case)
    amounts, gaps, categories, counterparties = traces(figure, "transactions")
    assert values_of(amounts) == case.window["amount"].tolist()
    assert values_of(gaps)[1:] == case.window["gap_hours"].clip(lower=1 / 3600).tolist()[1:]
    assert len({trace.xaxis for trace in (amounts, gaps, categories, counterparties)}) == 4
    for trace, column, axis in (
        (categories, "category", figure.layout.yaxis3),
        (counterparties, "counterparty_id", figure.layout.yaxis4),
    ):
        names = [html.unescape(axis.ticktext[int(lane)]) for lane in trace.y]
        assert names == [brief(value, 20) for value in case.window[column]]
    (first_times,) = traces(figure, "first time there")
    assert len(first_times.x) == case.window["counterparty_id"].nunique()


def test_lanes_are_few_and_those_of_the_flagged_among_them(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    names = [f"shop {number}" for number in range(len(case.window))]
    figure = timeline_figure(replace(case, window=case.window.assign(counterparty_id=names)))
    labels = figure.layout.yaxis4.ticktext
    assert (labels[0], labels[-1], len(labels)) == ("all others", names[-1], 9)


def test_course_draws_the_answers_and_the_threshold(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    figure = course_figure(case)
    scores, distances = traces(figure, "transactions")
    scored = case.window.dropna(subset=["fraud_probability"])
    assert len(scored) < len(case.window)
    np.testing.assert_array_equal(values_of(scores), scored["fraud_probability"])
    np.testing.assert_array_equal(values_of(distances), scored["ood_distance"])
    assert figure.layout.annotations[0].text == f"threshold {THRESHOLD}"


def test_flagged_transactions_are_marked_by_shape_as_well(
    tmp_path: Path, device_path: Path
) -> None:
    database = CaseDatabase(tmp_path / "grouped.sqlite", create=True, gap_hours=24 * 365)
    import_store(database, DeviceStore(device_path))
    case = open_case(database, 1)
    assert len(case.flags) == 6
    for mark in traces(timeline_figure(case), "flagged"):
        shown = case.window["timestamp"][
            case.window["transaction_id"].isin(case.flags["transaction_id"])
        ]
        assert list(mark.x) == list(shown.dt.tz_localize(None))
        assert len(mark.x) == len(mark.customdata) == 6
        assert mark.marker.symbol == "diamond"


def test_window_of_one_transaction_of_no_amount(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    window = case.window.tail(1).assign(amount=0.0, fraud_probability=np.nan, category=None)
    figure = timeline_figure(replace(case, window=window))
    assert figure.layout.yaxis.type == "linear"  # zero has no logarithm
    assert figure.layout.yaxis3.ticktext == ("-",)
    course_figure(replace(case, window=window))


def test_queue_figure_has_each_case_once_under_its_verdict(database: CaseDatabase) -> None:
    record_verdict(database, 3, "confirmed_fraud", "ana")
    queue = list_cases(database)
    figure = queue_figure(queue)
    (confirmed,) = traces(figure, "Confirmed fraud")
    (undecided,) = traces(figure, "Undecided")
    assert [int(row[0]) for row in confirmed.customdata] == [3]
    assert len(undecided.x) == 29
    assert confirmed.marker.symbol != undecided.marker.symbol


def test_texts_from_the_store_are_no_markup(database: CaseDatabase) -> None:
    queue = list_cases(database)
    figures = [queue_figure(queue)]
    figures += [timeline_figure(open_case(database, case_id)) for case_id in queue["case_id"][:8]]
    drawn = "".join(json.dumps(json.loads(figure.to_json())) for figure in figures)
    assert "&lt;b&gt;bold&lt;/b&gt;" in drawn
    assert "&lt;i&gt;a-5&lt;/i&gt;" in drawn
    for mark in ("<script", "<b>", "<i>", "<img", "$"):
        assert mark not in drawn
    assert all(text in set(queue["counterparty_id"]) for text in HOSTILE)
