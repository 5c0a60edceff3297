"""A recipe declares how a data set's columns become ours; it is data, never code."""

import codecs
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fraudnet.errors import InputError

CANONICAL = (
    "transaction_id",
    "timestamp",
    "account_id",
    "counterparty_id",
    "amount",
    "category",
    "is_fraud",
    "label_time",
    "currency",
)
_ALWAYS_NEEDED = ("transaction_id", "timestamp", "account_id", "amount")
# What is being scored has no label yet; training asks for labels when it reads.
_NEVER_NEEDED = ("is_fraud", "label_time", "currency")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'NAME'?"`, or nothing where no known name is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


class _Strict(BaseModel):
    """A frozen model that refuses unknown keys with the nearest known one."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:  # noqa: ANN401  (whatever the TOML holds)
        for key in data if isinstance(data, Mapping) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key '{key}'{nearest(key, cls.model_fields)}")
        return data


class Column(_Strict):
    """Where one of our columns stands in the source: one column, or several to be joined."""

    column: str | Annotated[tuple[str, ...], Field(min_length=1)]
    join: str = Field(" ", min_length=1, description="between the values of several columns")
    strip_prefix: str = Field("", description="taken off every value that begins with it")

    @property
    def parts(self) -> tuple[str, ...]:
        """The source's columns that make up ours."""
        return (self.column,) if isinstance(self.column, str) else self.column


class IdColumn(_Strict):
    """Where the transaction's identifier stands."""

    column: str | None = None
    from_row: bool = Field(
        False, description="where there is no such column, the line or row number is the identifier"
    )

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.column is None and not self.from_row:
            raise ValueError("names no column; give column = 'NAME' or from_row = true")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The source's column, or none."""
        return () if self.column is None else (self.column,)


class TimeColumn(Column):
    """A time: native in Parquet, else ISO 8601, a strptime format, or a number of units.

    Of several formats, a file's first rows choose the one that reads most of them.
    """

    format: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "iso", description="'iso', or a strptime format such as '%d/%m/%Y %H:%M', or a list"
    )
    unit: Literal["ns", "us", "ms", "s", "m", "h", "d"] | None = Field(
        None, description="the column counts these since the origin"
    )
    origin: datetime = Field(_EPOCH, description="naive means UTC")
    earliest: datetime | None = Field(
        None, description="none: 1970, or 1990 where a unit is counted from 1970; naive means UTC"
    )
    timezone: str = Field("UTC", description="of times that carry no offset of their own")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if any("%f" in each or "%z" in each for each in self.formats):
            raise ValueError("format cannot hold %f or %z; use format = 'iso' for such times")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                f"timezone '{self.timezone}' is unknown; give an IANA name such as 'Europe/Paris'"
            ) from None
        return self

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats to choose from."""
        return (self.format,) if isinstance(self.format, str) else self.format

    @property
    def not_before(self) -> datetime:
        """The earliest time that is believed; milliseconds read as seconds fall before or after."""
        counted = self.unit is not None and _aware(self.origin) == _EPOCH
        return _aware(self.earliest or (_EPOCH.replace(year=1990) if counted else _EPOCH))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class LabelColumn(Column):
    """The label: an empty value is an unlabelled transaction, any other value must be known."""

    fraud: tuple[str, ...] = ("1", "true")
    genuine: tuple[str, ...] = ("0", "false")
    unlabelled: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        values = [*self.fraud, *self.genuine, *self.unlabelled]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"'{twice[0]}' can mean one of fraud, genuine and unlabelled, not two")
        return self


class CurrencyColumn(Column):
    """The currency of the amount; a network that compares amounts needs them in one."""

    only: str | None = Field(None, description="rows in another are set aside")
    mixed: bool = Field(False, description="several are allowed, and amounts not to be compared")


def _from_name(data: Any) -> Any:  # noqa: ANN401  (pydantic judges what it is)
    return {"column": data} if isinstance(data, str | list | tuple) else data


def _from_list(data: Any) -> Any:  # noqa: ANN401  (pydantic judges what it is)
    return {name: name for name in data} if isinstance(data, list | tuple) else data


_Further = Annotated[dict[str, str], BeforeValidator(_from_list)]


class Recipe(_Strict):
    """The mapping of one data set on to the canonical columns, and what to know about it.

    A plain string in place of a column means its name in the source. `categorical`, `numeric` and
    `report` name further columns: a list keeps their names, a table maps ours to the source's.
    """

    name: str
    description: str = ""
    licence: str = ""
    source: str = ""
    size: str = Field("", description="rows and bytes of the well-known download")
    traps: tuple[str, ...] = Field((), description="what has misled others in this data set")
    label_delay_days: float = Field(7.0, ge=0, description="until a label is known")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="None: found out")
    quote: str = Field('"', min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", "'", " "] = Field("", description="between groups of digits")
    query: str | None = Field(None, description="SQL that a database is asked, in place of a table")
    encoding: str = "utf-8"
    allow_negative: bool = Field(True, description="refunds and reversals are negative amounts")

    transaction_id: Annotated[IdColumn, BeforeValidator(_from_name)]
    timestamp: Annotated[TimeColumn, BeforeValidator(_from_name)]
    account_id: Annotated[Column, BeforeValidator(_from_name)]
    counterparty_id: Annotated[Column | None, BeforeValidator(_from_name)] = None
    amount: Annotated[Column, BeforeValidator(_from_name)]
    category: Annotated[Column | None, BeforeValidator(_from_name)] = None
    is_fraud: Annotated[LabelColumn | None, BeforeValidator(_from_name)] = None
    label_time: Annotated[TimeColumn | None, BeforeValidator(_from_name)] = None
    currency: Annotated[CurrencyColumn | None, BeforeValidator(_from_name)] = None

    categorical: _Further = {}
    numeric: _Further = {}
    report: _Further = Field({}, description="carried for reports, never a feature")
    aliases: dict[str, str] = Field(
        {}, description="other names of source columns, each with the one that it is read by"
    )
    optional: tuple[str, ...] = Field((), description="our columns that a file may lack")
    ignore: tuple[str, ...] = Field(
        (), description="source columns known and left unread; * stands for any text"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            "a".encode(self.encoding)  # refuses codecs of bytes, such as base64
            if codecs.lookup(self.encoding).name in ("idna", "punycode", "undefined"):
                raise LookupError
        except (LookupError, UnicodeError):
            raise ValueError(
                f"encoding '{self.encoding}' is unknown; give one such as 'utf-8' or 'latin-1'"
            ) from None
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both '{self.decimal}'; change one of them")
        names = [*CANONICAL, *self.categorical, *self.numeric, *self.report]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"column '{twice[0]}' is declared twice; keep one of the two")
        for name in self.optional:
            if name not in names:
                raise ValueError(f"optional column '{name}' is not declared{nearest(name, names)}")
            if name in _ALWAYS_NEEDED:
                raise ValueError(f"'{name}' cannot be optional: every transaction has one")
        return self

    @property
    def source_columns(self) -> dict[str, tuple[str, ...]]:
        """Our name of every declared column, with the columns of the source that make it up."""
        declared = {name: getattr(self, name) for name in CANONICAL}
        own = {name: at.parts for name, at in declared.items() if at and at.parts}
        further = self.categorical | self.numeric | self.report
        return own | {name: (column,) for name, column in further.items()}

    def may_lack(self, name: str) -> bool:
        """Whether a file without our column `name` can still be read."""
        or_row = name == "transaction_id" and self.transaction_id.from_row
        return or_row or name in self.optional or name in _NEVER_NEEDED

    def with_features(self, categorical: Iterable[str] = (), numeric: Iterable[str] = ()) -> Self:
        """The recipe that also reads these columns, and refuses a file that lacks one of them.

        Args:
            categorical: names of categorical columns; those not yet declared keep their names.
            numeric: likewise of numeric columns.

        Raises:
            InputError: a name is a report column, or already declared as the other kind.
        """
        wanted = {"categorical": tuple(categorical), "numeric": tuple(numeric)}
        declared = self.source_columns
        new = {
            kind: {name: name for name in names if name not in (*declared, *CANONICAL)}
            for kind, names in wanted.items()
        }
        further = {kind: getattr(self, kind) | names for kind, names in new.items()}
        for kind, names in wanted.items():
            for name in names:
                if name not in further[kind] and not (name in CANONICAL and name in declared):
                    raise InputError(
                        f"recipe {self.name}: '{name}' is not declared as a {kind} column; "
                        f"name its source column under {kind}, or leave the feature out "
                        f"(where it is the only one: --set features.{kind}=[])"
                    )
        asked = {name for names in wanted.values() for name in names}
        optional = tuple(name for name in self.optional if name not in asked)
        return self.model_copy(update={**further, "optional": optional})

    def with_report(self, names: Iterable[str], optional: Iterable[str] = ()) -> Self:
        """The recipe that also reads these columns for reports.

        Args:
            names: those not yet declared keep their names; a file that lacks one is refused.
            optional: likewise, but a file may lack those that are not declared.

        Raises:
            InputError: a name is one of ours that the recipe does not declare.
        """
        declared, needed = self.source_columns, set(names)
        may_lack = [name for name in optional if name not in declared]
        new = [*sorted(needed - declared.keys()), *may_lack]
        if ours := [name for name in new if name in CANONICAL]:
            raise InputError(
                f"recipe {self.name}: '{ours[0]}' is not declared; say which column it is"
            )
        report = self.report | {name: name for name in new}
        kept = tuple(name for name in (*self.optional, *may_lack) if name not in needed)
        return self.model_copy(update={"report": report, "optional": kept})


def parse_recipe(data: Mapping[str, object], place: str) -> Recipe:
    """The recipe that a table of keys declares.

    Args:
        data: the keys, as TOML gives them.
        place: the file or section that they stand in, for the error.

    Raises:
        InputError: a key is unknown, missing or not as expected; the message names the nearest one.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first, *others = error.errors()
        key = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        more = f" (and {len(others)} more)" if others else ""
        raise InputError(f"{place}: {f'{key}: ' if key else ''}{problem}{more}") from None


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    files = resources.files(__package__).joinpath("recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name_or_path: str | Path = "canonical") -> Recipe:
    """A shipped recipe by its name, or one of your own by the path of its TOML file.

    Raises:
        InputError: there is no such recipe, or it is not as expected.
    """
    name = str(name_or_path)
    if name in shipped_recipes():
        text = resources.files(__package__).joinpath("recipes", f"{name}.toml").read_text("utf-8")
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {name}: cannot be read as text ({error})") from None
    else:
        known = ", ".join(shipped_recipes())
        raise InputError(
            f"there is no recipe '{name}'{nearest(name, shipped_recipes())} "
            f"(shipped: {known}; or give the path of a .toml file)"
        )
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"recipe {name}: is not valid TOML: {error}") from None
    return parse_recipe({"name": Path(name).stem, **data}, f"recipe {name}")
