import json
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.figures import case_figure, queue_figure, usual_band
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


def test_case_figure_draws_the_window(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    figure = case_figure(case)
    amounts, gaps, scores, distances = traces(figure, "transactions")
    assert values_of(amounts) == case.window["amount"].tolist()
    assert values_of(gaps)[1:] == case.window["gap_hours"].clip(lower=1 / 3600).tolist()[1:]
    np.testing.assert_array_equal(values_of(scores), case.window["fraud_probability"])
    np.testing.assert_array_equal(values_of(distances), case.window["ood_distance"])
    assert figure.layout.annotations[0].text == f"threshold {THRESHOLD}"
    assert len({trace.xaxis for trace in (amounts, gaps, scores, distances)}) == 4


def test_flagged_transaction_is_marked_by_shape_as_well(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    for mark in traces(case_figure(case), "flagged"):
        assert list(mark.x) == [case.window["timestamp"].iloc[-1].tz_localize(None)]
        assert mark.marker.symbol == "diamond"
    assert len(traces(case_figure(case), "flagged")) == 4


def test_window_of_one_transaction_of_no_amount(database: CaseDatabase) -> None:
    case = open_case(database, 6)
    window = case.window.tail(1).assign(amount=0.0, fraud_probability=np.nan)
    figure = case_figure(replace(case, window=window))
    assert figure.layout.yaxis.type == "linear"  # zero has no logarithm


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
    figures += [case_figure(open_case(database, case_id)) for case_id in queue["case_id"]]
    drawn = "".join(json.dumps(json.loads(figure.to_json())) for figure in figures)
    assert "&lt;b&gt;bold&lt;/b&gt;" in drawn
    assert "&lt;i&gt;a-5&lt;/i&gt;" in drawn
    for mark in ("<script", "<b>", "<i>", "<img", "$"):
        assert mark not in drawn
    assert all(text in set(queue["counterparty_id"]) for text in HOSTILE)
