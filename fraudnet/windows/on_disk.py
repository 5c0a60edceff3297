"""Histories of more transactions than memory holds: partitioned on disk, then mapped.

The transactions are partitioned as they pass, by account and by each key that is counted or coded.
Each partition is then worked on alone, by the functions that serve a table in memory, and the
finished columns are appended to one file each.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.transactions.seen import hashes
from fraudnet.windows.histories import Array, Events, Histories, arrange, codes_of, events_of
from fraudnet.windows.periods import Period
from fraudnet.windows.reputation import reputation_counts
from fraudnet.windows.specification import FeatureSpecification, Reputation

PARTITIONS = 64  # of each kind an open file: some systems allow a process 256
BYTES_PER_ROW = 500
"""The most that a transaction of a partition of accounts takes while it is worked on."""

BYTES_PER_EVENT = 250
"""Likewise of a partition of counterparties or of another key."""

_COUNTERPARTY = "counterparty_id"
_COLUMNS = (
    "account", "source_row", "timestamp_us", "known_us", "is_fraud", "amount", "counterparty",
)  # fmt: skip


class Spool:
    """Transactions on their way to disk, then their histories.

    Attributes:
        rows: that have passed.
        first_us: the earliest timestamp among them, microseconds since 1970.
        last_us: the latest.
    """

    def __init__(
        self, folder: Path, specification: FeatureSpecification, label_delay_days: float
    ) -> None:
        """Begin.

        Args:
            folder: for the files, empty; it must outlive the histories, which are mapped from it.
            specification: whose columns are kept; its vocabularies may still be empty.
            label_delay_days: until a label is known, where a row has no label time of its own.
        """
        self.rows = 0
        self.first_us, self.last_us = 2**63 - 1, -(2**63)
        self._folder = folder
        self._delay_days = label_delay_days
        self._further = [c.column for c in specification.categorical] + [*specification.numeric]
        reputation = specification.reputation
        keys = dict.fromkeys([_COUNTERPARTY, reputation.key if reputation else _COUNTERPARTY])
        self._accounts = _Partitions(folder, "account")
        self._keys = {key: _Partitions(folder, f"key-{key}") for key in keys}

    def add(self, table: pa.Table) -> None:
        """Take in a piece of canonical transactions; they keep the order in which they come."""
        events = events_of(table, self._delay_days)
        shared = {
            "row": np.arange(self.rows, self.rows + len(table)),
            "timestamp_us": events.timestamp_us,
            "known_us": events.known_us,
            "is_fraud": events.is_fraud,
        }
        home = _partition_of(table["account_id"])
        own = {name: table[name] for name in ("account_id", "amount", *self._further)}
        self._accounts.add(pa.table({**shared, **own}), home)
        for key, partitions in self._keys.items():
            keyed = pa.table({**shared, "key": table[key], "home": home})
            partitions.add(keyed, _partition_of(table[key]))
        self.rows += len(table)
        self.first_us = min(self.first_us, int(events.timestamp_us.min()))
        self.last_us = max(self.last_us, int(events.timestamp_us.max()))

    def close(self) -> None:
        """No more transactions will come."""
        for partitions in (self._accounts, *self._keys.values()):
            partitions.close()

    def within(self, period: Period) -> Iterator[pa.Table]:
        """The transactions of a period, a partition of accounts at a time."""
        for number in self._accounts.numbers():
            table = self._accounts.read(number)
            yield table.filter(pa.array(period.contains(table["timestamp_us"].to_numpy())))

    def histories(self, specification: FeatureSpecification, memory_limit_bytes: int) -> Histories:
        """The histories of all that has passed, mapped from files; accounts are in no order.

        Args:
            specification: as given at the beginning, its vocabularies filled in.
            memory_limit_bytes: for the partition that is worked on.

        Raises:
            InputError: a partition needs more memory than that.
        """
        needed = max(
            int(self._accounts.rows.max()) * BYTES_PER_ROW,
            *(int(each.rows.max()) * BYTES_PER_EVENT for each in self._keys.values()),
        )
        if needed > memory_limit_bytes:
            raise InputError(
                f"data.memory_limit_mb is {memory_limit_bytes >> 20}, but the largest of the "
                f"{PARTITIONS} partitions of accounts and of counterparties needs "
                f"{-(-needed >> 20)} MB: raise the limit"
            )
        for key in self._keys:
            self._answer(key, specification)
        offsets = [np.zeros(1, np.int64)]
        accounts = 0
        with _Files(self._folder) as files:
            for number in self._accounts.numbers():
                part = self._arranged(number, specification)
                for name in _COLUMNS:
                    values = getattr(part, name)
                    files.append(name, values + accounts if name == "account" else values)
                for name, values in part.columns.items():
                    files.append(f"input-{name}", values)
                offsets.append(part.offsets[1:] + offsets[-1][-1])
                accounts += len(part.offsets) - 1
        own = {name: files.mapped(name) for name in _COLUMNS}
        inputs = {name: files.mapped(f"input-{name}") for name in part.columns}
        return Histories(
            offsets=np.concatenate(offsets),
            columns=inputs,
            specification=specification,
            **own,  # type: ignore[arg-type]  # by the names of its fields
        )

    def _answer(self, key: str, specification: FeatureSpecification) -> None:
        """Code each row's key, count its reputation if that is asked for, and send both home."""
        counted = self._counted(key, specification)
        distinct = 0
        with ExitStack() as stack:
            homes = [
                stack.enter_context(self._answers(key, number).open("wb"))
                for number in range(PARTITIONS)
            ]
            for number in self._keys[key].numbers():
                table = self._keys[key].read(number)
                events, code = _events(table), codes_of(table["key"])
                answers = np.empty(len(table), _answer_type(counted))
                answers["row"] = table["row"].to_numpy()
                answers["code"] = np.where(code < 0, -1, code + distinct)
                if counted is not None:
                    counts = reputation_counts(
                        counted, code, events.timestamp_us, events.known_us, events.is_fraud
                    )
                    answers["counts"] = counts.of(np.arange(len(table)))
                distinct += int(code.max()) + 1
                home = table["home"].to_numpy()
                order = np.argsort(home, kind="stable")
                ends = np.cumsum(np.bincount(home, minlength=PARTITIONS))
                for file, piece in zip(homes, np.split(answers[order], ends[:-1]), strict=True):
                    file.write(piece.tobytes())
                self._keys[key].remove(number)

    def _arranged(self, number: int, specification: FeatureSpecification) -> Histories:
        """The histories of one partition of accounts; its source rows are those of the whole."""
        table = self._accounts.read(number)
        row = table["row"].to_numpy()
        counterparty, counts = np.empty(0, np.int64), None
        for key in self._keys:
            counted = self._counted(key, specification)
            answers = np.fromfile(self._answers(key, number), _answer_type(counted))
            answers = answers[np.argsort(answers["row"])]
            assert np.array_equal(answers["row"], row)
            if key == _COUNTERPARTY:
                counterparty = answers["code"].copy()
            if counted is not None:
                counts = np.ascontiguousarray(answers["counts"])
            self._answers(key, number).unlink()
        part = arrange(table, specification, _events(table), counterparty, counts)
        self._accounts.remove(number)
        return replace(part, source_row=row[part.source_row])

    def _counted(self, key: str, specification: FeatureSpecification) -> Reputation | None:
        reputation = specification.reputation
        return reputation if reputation and reputation.key == key else None

    def _answers(self, key: str, number: int) -> Path:
        return self._folder / f"answers-{key}-{number}"


def _events(table: pa.Table) -> Events:
    return Events(*(table[name].to_numpy() for name in ("timestamp_us", "known_us", "is_fraud")))


def _answer_type(counted: Reputation | None) -> np.dtype[np.void]:
    width = len(counted.columns) if counted else 0
    return np.dtype([("row", np.int64), ("code", np.int64), ("counts", np.float32, (width,))])


def _partition_of(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """[N] a partition for each value; equal values, and all nulls, share one."""
    code = codes_of(column)
    distinct = pc.unique(pc.drop_null(column.cast(pa.string())))
    own = hashes(pa.chunked_array([distinct])) % PARTITIONS
    return np.append(own, 0).astype(np.uint8)[code]  # -1, of null, finds the 0 at the end


class _Partitions:
    """Streams of Arrow tables on disk, one a partition.

    Attributes:
        rows: [PARTITIONS] written to each.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.rows = np.zeros(PARTITIONS, np.int64)
        self._prefix = folder / name
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, table: pa.Table, partition: npt.NDArray[np.uint8]) -> None:
        table = table.take(pa.array(np.argsort(partition, kind="stable"))).combine_chunks()
        sizes = np.bincount(partition, minlength=PARTITIONS)
        begin = 0
        for number, size in enumerate(sizes.tolist()):
            if size:
                self._writer(number, table.schema).write_table(table.slice(begin, size))
            begin += size
        self.rows += sizes

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def numbers(self) -> list[int]:
        return [int(number) for number in np.flatnonzero(self.rows)]

    def read(self, number: int) -> pa.Table:
        with pa.ipc.open_stream(pa.OSFile(self._path(number))) as stream:
            return stream.read_all()

    def remove(self, number: int) -> None:
        Path(self._path(number)).unlink()

    def _writer(self, number: int, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
        if number not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writer = pa.ipc.new_stream(self._path(number), schema, options=options)
            self._writers[number] = writer
        return self._writers[number]

    def _path(self, number: int) -> str:
        return f"{self._prefix}-{number}.arrows"


class _Files:
    """Arrays that grow on disk, one file each, and are mapped when they are done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, BinaryIO] = {}
        self._types: dict[str, np.dtype[np.generic]] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def append(self, name: str, values: Array) -> None:
        if name not in self._open:
            self._open[name] = (self._folder / name).open("wb")
            self._types[name] = values.dtype
        self._open[name].write(np.ascontiguousarray(values).data)

    def mapped(self, name: str) -> Array:
        return np.memmap(self._folder / name, self._types[name], "r")
