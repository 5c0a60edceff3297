"""One transaction, checked: from parsed fields to what the scorer and the store hold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from fraudnet.device.errors import TransactionError

Scalar = str | float | int | bool | None

REQUIRED = ("transaction_id", "timestamp", "account_id", "counterparty_id", "amount")
# They arrive later than the transaction and are no part of it.
LABELS = frozenset({"is_fraud", "label_time"})
DAY_US = 86_400_000_000
# The network reads amounts and numeric columns as float32.
LARGEST_NUMBER = float(np.finfo(np.float32).max)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A checked transaction."""

    transaction_id: str
    account_id: str
    timestamp_us: int  # since 1970-01-01 UTC
    counterparty_id: str | None
    amount: float  # major units, finite
    columns: Mapping[str, Scalar]  # the further columns, such as category


def parse_transaction(fields: Mapping[str, object], kinds: Mapping[str, str]) -> Transaction:
    """Checks the fields of one row.

    Args:
        fields: values as JSON knows them; `timestamp` is ISO 8601 text, UTC where it names no zone.
        kinds: columns that the artifact reads -> "numeric" or "categorical".

    Raises:
        TransactionError: a missing key or a value that cannot be used; the message names both.
    """
    for key in (*REQUIRED, *kinds):
        if key not in fields:
            raise TransactionError(
                f"missing key {key!r}; expected {', '.join((*REQUIRED, *kinds))}"
            )
    amount = _number("amount", fields["amount"])
    if amount is None:
        raise TransactionError("amount is null; expected a number in major units")
    return Transaction(
        transaction_id=_identifier("transaction_id", fields["transaction_id"]),
        account_id=_identifier("account_id", fields["account_id"]),
        timestamp_us=_timestamp_us(fields["timestamp"]),
        counterparty_id=_text("counterparty_id", fields["counterparty_id"]),
        amount=amount,
        columns={
            key: _column(key if key.isprintable() else ascii(key), value, kinds.get(key))
            for key, value in fields.items()
            if key not in REQUIRED and key not in LABELS
        },
    )


def same_content(one: Transaction, other: Transaction) -> bool:
    """Whether two are the same transaction, read for artifacts that may read other columns.

    A column that an artifact does not read is kept as it came: what is 5.0 to one is '5' in a CSV
    to another, and null is as good as absent.
    """
    if one == other:
        return True
    names = one.columns.keys() | other.columns.keys()
    return replace(one, columns={}) == replace(other, columns={}) and all(
        _same_value(one.columns.get(name), other.columns.get(name)) for name in names
    )


def difference(stored: Transaction, received: Transaction) -> str:
    """What is to be said of two transactions of one id that are not the same."""
    names = [
        name for name in Transaction.__slots__ if getattr(stored, name) != getattr(received, name)
    ]
    differences = "; ".join(
        f"{name} is {getattr(stored, name)!r} in the store, {getattr(received, name)!r} received"
        for name in names
    )
    return (
        f"transaction {stored.transaction_id!r} is stored with other content: {differences}; "
        "give a new transaction a new id"
    )


def _same_value(one: Scalar, other: Scalar) -> bool:
    if isinstance(one, str) is isinstance(other, str):
        return one == other
    text, value = (one, other) if isinstance(one, str) else (other, one)
    if text == str(value):
        return True
    number = as_kind(text, "numeric")
    return type(value) in (int, float) and number is not text and number == value


def as_kind(value: Scalar, kind: str | None) -> Scalar:
    """A stored column as an artifact reads it that was not there when it was stored.

    Args:
        value: as it came, or as another artifact read it.
        kind: "numeric" or "categorical"; None: it is not read.

    Returns:
        What `parse_transaction` makes of it, as far as that can be told; else the value as it is.
    """
    if kind == "categorical" and type(value) in (int, float):
        whole = float(value).is_integer() if math.isfinite(value) else False  # type: ignore[arg-type]
        return str(int(value)) if whole else str(value)  # type: ignore[arg-type]
    if kind == "numeric" and isinstance(value, str) and "_" not in value:
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _column(key: str, value: object, kind: str | None) -> Scalar:
    if kind == "numeric":
        return _number(key, value)
    if kind == "categorical":
        return _text(key, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TransactionError(f"{key} is {value!r}; expected a finite number")
    if isinstance(value, str):
        return _text(key, value)
    if value is None or isinstance(value, int | float):
        return value
    raise TransactionError(
        f"{key} is {_shown(value)}; expected text, a number, true, false or null"
    )


def _number(key: str, value: object) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Compared before it is converted: an integer may be too large for a float. NaN fails too.
    if is_number and -LARGEST_NUMBER <= value <= LARGEST_NUMBER:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise TransactionError(
        f"{key} is {_shown(value)}; expected a finite number of at most {LARGEST_NUMBER:.3g}"
    )


def _identifier(key: str, value: object) -> str:
    text = _text(key, value)
    if text is None:
        raise TransactionError(f"{key} is empty; expected text")
    return text


def _text(key: str, value: object) -> str | None:
    """Text, or an integer as text; empty text is null."""
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TransactionError(f"{key} is {_shown(value)}; expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise TransactionError(f"{key} is {_shown(value)}; expected text in UTF-8") from error
    return value


def _timestamp_us(value: object) -> int:
    expected = "expected ISO 8601 such as 2025-03-31T12:00:00Z"
    if not isinstance(value, str):
        raise TransactionError(f"timestamp is {_shown(value)}; {expected}")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise TransactionError(f"timestamp is {_shown(value)}; {expected}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment < _EPOCH:
        raise TransactionError(f"timestamp is {_shown(value)}; expected 1970 or later")
    return (moment - _EPOCH) // _MICROSECOND


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
