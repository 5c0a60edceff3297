from pathlib import Path
from typing import Any

import pytest

from fraudnet.errors import InputError
from fraudnet.transactions.recipe import (
    CANONICAL,
    Recipe,
    load_recipe,
    parse_recipe,
    shipped_recipes,
)

MINIMAL = {
    "name": "mine",
    "transaction_id": "id",
    "timestamp": "when",
    "account_id": "card",
    "amount": "sum",
}


def parse(**keys: object) -> Recipe:
    return parse_recipe(MINIMAL | keys, "mine.toml")


def test_the_shipped_recipes_all_load_and_say_where_they_are_from() -> None:
    assert set(shipped_recipes()) >= {"canonical", "handbook", "sparkov"}
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description
        if name != "canonical":
            assert all((recipe.licence, recipe.source, recipe.size, recipe.traps))


def test_by_default_columns_have_our_names() -> None:
    columns = load_recipe().source_columns
    assert {name: columns[name] for name in CANONICAL} == {name: (name,) for name in CANONICAL}


def test_sparkov_labels_are_known_at_once_and_handbook_labels_after_a_week() -> None:
    assert load_recipe("sparkov").label_delay_days == 0.0
    assert load_recipe("handbook").label_delay_days == 7.0


def test_what_tells_the_label_is_never_a_feature() -> None:
    recipe = load_recipe("handbook")
    assert recipe.report == {"fraud_kind": "fraud_scenario"}
    with pytest.raises(InputError, match="'fraud_kind' is not declared as a categorical column"):
        recipe.with_features(categorical=["fraud_kind"])


def test_a_recipe_of_ones_own_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(
        'transaction_id = { from_row = true }\ntimestamp = { column = "t", unit = "s" }\n'
        'account_id = "a"\namount = { column = "x", strip_prefix = "$" }\n'
        'categorical = ["channel"]\nnumeric = { distance = "dist_km" }\n'
    )
    recipe = load_recipe(path)
    assert recipe.name == "bank"
    assert recipe.timestamp.unit == "s"
    assert recipe.source_columns == {
        "timestamp": ("t",),
        "account_id": ("a",),
        "amount": ("x",),
        "channel": ("channel",),
        "distance": ("dist_km",),
    }
    assert recipe.may_lack("transaction_id")
    assert not recipe.may_lack("channel")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"catgory": "c"}, "unknown key 'catgory'; did you mean 'category'?"),
        ({"zzz": 1}, "unknown key 'zzz'"),
        (
            {"timestamp": {"column": "t", "fromat": "iso"}},
            "timestamp: unknown key 'fromat'; did you mean 'format'?",
        ),
        ({"amount": {"strip_prefix": "$"}}, "amount.column: Field required"),
        ({"transaction_id": {}}, "transaction_id: names no column; give column = 'NAME'"),
        ({"timestamp": {"column": "t", "unit": "weeks"}}, "timestamp.unit: Input should be"),
        (
            {"timestamp": {"column": "t", "timezone": "Mars/Here"}},
            "timezone 'Mars/Here' is unknown",
        ),
        ({"timestamp": {"column": "t", "format": "%Y %f"}}, "cannot hold %f or %z"),
        ({"is_fraud": {"column": "y", "fraud": ["1"], "genuine": ["1"]}}, "'1' can mean one of"),
        ({"label_delay_days": -1}, "label_delay_days: Input should be greater than or equal to 0"),
        ({"encoding": "utf-88"}, "encoding 'utf-88' is unknown"),
        ({"delimiter": "::"}, "delimiter: String should have at most 1 character"),
        ({"numeric": ["amount"]}, "column 'amount' is declared twice"),
        ({"numeric": ["x"], "categorical": ["x"]}, "column 'x' is declared twice"),
        (
            {"numeric": ["distance"], "optional": ["distanse"]},
            "optional column 'distanse' is not declared; did you mean 'distance'?",
        ),
        ({"optional": ["amount"]}, "'amount' cannot be optional"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(keys: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(**keys)
    assert str(caught.value).startswith("mine.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_problems_are_counted() -> None:
    with pytest.raises(InputError, match=r"Field required \(and 3 more\)"):
        parse_recipe({"name": "empty"}, "empty.toml")


def test_recipes_that_cannot_be_found_or_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe 'sparkof'; did you mean 'sparkov'\?"):
        load_recipe("sparkof")
    with pytest.raises(InputError, match="cannot be read as text"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("amount = ")
    with pytest.raises(InputError, match="is not valid TOML: Invalid value"):
        load_recipe(tmp_path / "broken.toml")


def test_features_that_a_caller_names_are_read_and_no_longer_optional() -> None:
    recipe = load_recipe("canonical")
    assert recipe.may_lack("place")
    asked = recipe.with_features(categorical=["category", "place"], numeric=["amount", "distance"])
    assert asked.categorical == {"place": "place"}
    assert asked.numeric == {"distance": "distance"}
    assert not any(asked.may_lack(name) for name in ("category", "place", "distance"))
    assert asked.may_lack("fraud_kind")
    assert recipe.may_lack("place")


@pytest.mark.parametrize("features", [{"numeric": ["place"]}, {"categorical": ["distance"]}])
def test_features_of_the_other_kind_are_refused(features: dict[str, Any]) -> None:
    recipe = load_recipe("canonical").with_features(numeric=["distance"])
    with pytest.raises(InputError, match="is not declared as a"):
        recipe.with_features(**features)


def test_a_canonical_feature_that_the_recipe_lacks_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"'category' is not declared as a categorical column.*features.categorical=\[\]",
    ):
        load_recipe("handbook").with_features(categorical=["category"])


def test_report_columns_are_read_beside_the_others() -> None:
    asked = load_recipe("canonical").with_report(["age_band", "place"], optional=["tier"])
    assert asked.report == {"fraud_kind": "fraud_kind", "age_band": "age_band", "tier": "tier"}
    assert asked.categorical == {"place": "place"}
    assert not any(asked.may_lack(name) for name in ("age_band", "place"))
    assert asked.may_lack("tier")
    assert asked.may_lack("fraud_kind")
    mapped = load_recipe("handbook").with_report([], optional=["fraud_kind"])
    assert mapped == load_recipe("handbook")


def test_a_report_column_is_none_of_ours() -> None:
    with pytest.raises(InputError, match="recipe handbook: 'category' is not declared"):
        load_recipe("handbook").with_report(["category"])


def test_no_shipped_recipe_reads_a_column_that_it_ignores() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name)
        read = {part for parts in recipe.source_columns.values() for part in parts}
        assert not set(recipe.ignore) & read


def test_recipes_go_through_json_unchanged() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
