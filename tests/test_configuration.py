from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.errors import InputError


class Wheel(Section):
    diameter_mm: float = Field(gt=0)
    spokes: int = 32


class Brake(Section):
    lever_mm: float = 90.0


class Bicycle(Section):
    name: str
    front: Wheel | None = None
    spare: tuple[Wheel, ...] = ()
    brakes: dict[str, Brake] = Field(default_factory=dict)
    gears: int = Field(default=1, ge=1)


class Span(Section):
    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.low > self.high:
            raise ValueError("low must not exceed high")
        return self


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        parse_section(Bicycle, values, "bicycle.toml")
    message = str(caught.value)
    assert message.startswith("bicycle.toml: ")
    assert "\n" not in message
    return message.removeprefix("bicycle.toml: ")


def test_a_section_is_read_with_its_defaults() -> None:
    values = {"name": "b", "front": {"diameter_mm": 622}, "spare": [{"diameter_mm": 1.5}]}
    bicycle = parse_section(Bicycle, values, "bicycle.toml")
    assert bicycle.front == Wheel(diameter_mm=622.0, spokes=32)
    assert bicycle.spare == (Wheel(diameter_mm=1.5),)
    assert (bicycle.brakes, bicycle.gears) == ({}, 1)


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Wheel(diameter_mm=1).spokes = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "key", "near"),
    [
        ({"gear": 3}, "gear", "gears"),
        ({"nmae": "b"}, "nmae", "name"),
        ({"front": {"diameter_mm": 1, "spoke": 3}}, "front.spoke", "spokes"),
        ({"front": {"diameter_mm": 1, "diameter": 3}}, "front.diameter", "diameter_mm"),
        (
            {"spare": [{"diameter_mm": 1}, {"diameter_mm": 1, "spoks": 3}]},
            "spare.1.spoks",
            "spokes",
        ),
        ({"brakes": {"rear": {"lever": 3}}}, "brakes.rear.lever", "lever_mm"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(
    values: dict[str, Any], key: str, near: str
) -> None:
    assert refusal({"name": "b"} | values) == f"unknown key {key!r}; did you mean {near!r}?"


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L"]), min_size=1))
def test_however_odd_an_unknown_key_a_known_one_is_named(key: str) -> None:
    known = set(Bicycle.model_fields)
    if key not in known:
        message = refusal({"name": "b", key: 1})
        assert message.startswith(f"unknown key {key!r}; did you mean ")
        assert any(message.endswith(f"{name!r}?") for name in known)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "key 'name': Field required"),
        ({"name": 3}, "key 'name': Input should be a valid string, got 3"),
        (
            {"name": "b", "gears": 0},
            "key 'gears': Input should be greater than or equal to 1, got 0",
        ),
        ({"name": "b", "front": {}}, "key 'front.diameter_mm': Field required"),
        (
            {"name": "b", "spare": [{"diameter_mm": float("nan")}]},
            "key 'spare.0.diameter_mm': Input should be a finite number, got nan",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_was_expected(
    values: dict[str, Any], message: str
) -> None:
    assert refusal(values) == message


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"^span\.toml: Value error, low must not exceed high$"):
        parse_section(Span, {"low": 2, "high": 1}, "span.toml")


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes("name = 'Zoë'\r\n[front]\r\nspokes = 3\r\n".encode())
    assert read_toml(path) == {"name": "Zoë", "front": {"spokes": 3}}
    path.write_bytes(b"")
    assert read_toml(path) == {}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a = 1\nb = \n", "at line 2, column 5"),
        (b"a = 1\na b\n", "at line 2, column 3"),
        (b"\n\n[x\n", "at line 3, column 3"),
        (b"a = 1\n\na = 2\n", "at line 3, column 6"),
        (b"a = 1\nb = '\xff'\n", "at line 2"),
        (b"\xff\xfea\0", "at line 1"),
        (b"a = [\n1,", "at end of document"),
    ],
)
def test_what_is_not_toml_is_refused_with_the_line(
    tmp_path: Path, content: bytes, place: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: not a TOML file: ")
    assert str(caught.value).endswith(f"({place})")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: no such file; give the path of a TOML"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(InputError, match="Is a directory; give the path of a TOML file"):
        read_toml(tmp_path)


def test_the_errors_of_a_section_are_of_the_first_key_that_does_not_fit() -> None:
    assert refusal({"name": "b", "front": {"diameter_mm": 0}, "gears": 0}).startswith(
        "key 'front.diameter_mm': "
    )
