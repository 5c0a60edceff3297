from typing import Any

import pytest

from fraudnet.configuration import parse_section
from fraudnet.errors import InputError
from fraudnet.windows.specification import FeatureSpecification, Reputation

DECLARED: dict[str, Any] = {
    "categorical": [{"column": "category"}, {"column": "place", "vocabulary": ["p1", "p2"]}],
    "numeric": ["distance", "age"],
    "reputation": {"windows_days": [2, 30]},
}


def parse(values: dict[str, Any]) -> FeatureSpecification:
    return parse_section(FeatureSpecification, values, "features.toml")


def test_reputation_can_be_left_out_in_toml() -> None:
    specification = parse_section(FeatureSpecification, {"reputation": "none"}, "here")
    assert [i.name for i in specification.inputs] == ["amount", "day", "second", "valid"]


def test_inputs_have_one_order_and_their_types() -> None:
    assert [(i.name, i.dtype, i.kind) for i in parse(DECLARED).inputs] == [
        ("amount", "float32", "amount"),
        ("day", "int32", "day"),
        ("second", "int32", "second"),
        ("valid", "float32", "valid"),
        ("category", "int32", "categorical"),
        ("place", "int32", "categorical"),
        ("distance", "float32", "numeric"),
        ("age", "float32", "numeric"),
        ("counterparty_count_2d", "float32", "reputation"),
        ("counterparty_fraud_2d", "float32", "reputation"),
        ("counterparty_count_30d", "float32", "reputation"),
        ("counterparty_fraud_30d", "float32", "reputation"),
        ("counterparty_genuine_recency_35d", "float32", "reputation"),
        ("counterparty_fraud_recency_35d", "float32", "reputation"),
        ("counterparty_onset_recency_35d", "float32", "reputation"),
        ("counterparty_run_recency_35d", "float32", "reputation"),
        ("counterparty_run_fraud_35d", "float32", "reputation"),
    ]


def test_inputs_say_what_fills_them() -> None:
    told = {
        i.name: i.model_dump(exclude={"name", "dtype", "kind"}, exclude_none=True)
        for i in parse(DECLARED).inputs
    }
    assert told["amount"] == told["day"] == told["second"] == told["valid"] == {}
    assert told["category"] == {"column": "category", "vocabulary": ()}
    assert told["place"] == {"column": "place", "vocabulary": ("p1", "p2")}
    assert told["age"] == {"column": "age"}
    assert told["counterparty_fraud_30d"] == {"statistic": "fraud", "days": 30}


def test_columns_of_a_snapshot_are_in_the_order_of_the_inputs() -> None:
    specification = parse(DECLARED)
    assert specification.reputation is not None
    assert specification.reputation.columns == (
        "count_2d", "fraud_2d", "count_30d", "fraud_30d", "genuine_recency_35d",
        "fraud_recency_35d", "onset_recency_35d", "run_recency_35d", "run_fraud_35d",
    )  # fmt: skip
    assert [
        f"{i.statistic}_{i.days}d" for i in specification.inputs if i.kind == "reputation"
    ] == list(specification.reputation.columns)


def test_nothing_declared_reads_amount_time_and_reputation() -> None:
    assert parse({}).reputation == Reputation(windows_days=(1, 7, 30))
    assert [i.name for i in parse({"reputation": None}).inputs] == [
        "amount",
        "day",
        "second",
        "valid",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"catgorical": []}, "unknown key 'catgorical'; did you mean 'categorical'?"),
        (
            {"reputation": {"windows": [1]}},
            "unknown key 'reputation.windows'; did you mean 'windows_days'?",
        ),
        (
            {"categorical": [{"column": "c"}, {"column": "d", "vocab": ["x"]}]},
            "unknown key 'categorical.1.vocab'; did you mean 'vocabulary'?",
        ),
        ({"categorical": [{}]}, "key 'categorical.0.column': Field required"),
        ({"numeric": "distance"}, "key 'numeric': Input should be a valid tuple, got 'distance'"),
        ({"reputation": {"windows_days": [7, 1]}}, "windows must increase and differ, got [7, 1]"),
        ({"reputation": {"windows_days": [1, 1]}}, "windows must increase and differ, got [1, 1]"),
        ({"reputation": {"windows_days": [0]}}, "key 'reputation.windows_days.0': "),
        ({"reputation": {"windows_days": [3651]}}, "key 'reputation.windows_days.0': "),
        ({"reputation": {"windows_days": [1.5]}}, "key 'reputation.windows_days.0': "),
        (
            {"reputation": {"key": "account_id"}},
            "reputation.key 'account_id' is not read by the network",
        ),
        ({"reputation": {"refresh": "hour"}}, "key 'reputation.refresh': "),
        ({"numeric": ["a b"]}, "'a b' cannot name an input"),
        ({"numeric": ["is_fraud"]}, "'is_fraud' cannot be a feature"),
        ({"categorical": [{"column": "account_id"}]}, "'account_id' cannot be a feature"),
        ({"reputation": {"max_age_days": 0}}, "key 'reputation.max_age_days': "),
        (
            {"categorical": [{"column": "c", "vocabulary": ["x", "y", "x"]}]},
            "key 'categorical.0.vocabulary': Value error, values must differ",
        ),
        ({"categorical": [{"column": "c", "max_size": 0}]}, "key 'categorical.0.max_size': "),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(values)
    assert str(caught.value).startswith("features.toml: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"categorical": [{"column": "day"}]},
        {"numeric": ["valid"]},
        {"numeric": ["speed", "speed"]},
        {"categorical": [{"column": "speed"}], "numeric": ["speed"]},
        {"numeric": ["counterparty_fraud_7d"]},
    ],
)
def test_two_inputs_of_one_name_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"features\.toml: .*input '\w+' is declared twice"):
        parse(values)
