"""Parquet: a file, or a folder of partitions in which `name=value` folders are columns too."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from fraudnet.errors import InputError
from fraudnet.transactions.recipe import Recipe
from fraudnet.transactions.sources.rows import (
    BATCH_ROWS,
    Rows,
    assemble,
    choose,
    needed,
    numbered,
    unread,
)


def read_parquet(path: Path, recipe: Recipe) -> Iterator[Rows]:
    """The rows of a Parquet file, a quarter of a million at a time.

    Raises:
        InputError: a needed column is not there.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        own = file.schema_arrow.names
        header = numbered(own, recipe)
        chosen = choose(str(path), header, recipe)
        left = unread(header, chosen, recipe)
        columns = [own[header.index(name)] for name in needed(chosen)]
        first = 1
        for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(columns))):
            batch.validate(full=True)  # a damaged file may hold text that is none
            table = pa.Table.from_batches([batch])
            values = dict(zip(numbered(table.column_names, recipe), table.columns, strict=True))
            line = np.arange(first, first + len(table))
            yield Rows(str(path), assemble(chosen, values, recipe), line, [], left)
            first += len(table)


def read_partitions(folder: Path, recipe: Recipe) -> Iterator[Rows]:
    """The rows of every Parquet file below a folder, by path; lines are numbered in each.

    Raises:
        InputError: there is no Parquet file, or a needed column is in none of them.
    """
    checked = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )
    found = list(ds.dataset(folder, format=checked, partitioning="hive").get_fragments())
    if not found:
        raise InputError(f"{folder}: holds no Parquet files; give a folder that does, or a file")
    physical = [fragment.physical_schema for fragment in found]
    keys = {key for each in found for key in ds.get_partition_keys(each.partition_expression)}
    # What folders are called stays text: account 007 is not account 7.
    told = sorted(key for key in keys if not all(key in each.names for each in physical))
    folders = pa.schema([(key, pa.string()) for key in told])
    try:
        schema = pa.unify_schemas([*physical, folders], promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise InputError(
            f"{folder}: its files hold one column as different types ({error}); write them again "
            "with one type a column"
        ) from None
    hive = ds.partitioning(folders, flavor="hive")
    dataset = ds.dataset(folder, schema=schema, format=checked, partitioning=hive)
    fragments = sorted(dataset.get_fragments(), key=lambda fragment: str(fragment.path))
    header = numbered(schema.names, recipe)
    chosen = choose(str(folder), header, recipe)
    left = unread(header, chosen, recipe)
    columns = [schema.names[header.index(name)] for name in needed(chosen)]
    for fragment in fragments:
        first = 1
        for batch in fragment.to_batches(schema, columns=columns, batch_size=BATCH_ROWS):
            batch.validate(full=True)
            table = pa.Table.from_batches([batch])
            values = dict(zip(numbered(table.column_names, recipe), table.columns, strict=True))
            line = np.arange(first, first + len(table))
            ours = assemble(chosen, values, recipe)
            if "transaction_id" not in chosen:  # a row's number alone stands in every file
                within = str(fragment.path).removeprefix(f"{folder}/")
                ids = pc.binary_join_element_wise(within, pa.array(line).cast(pa.string()), ":")
                ours = ours.append_column("transaction_id", ids)
            yield Rows(str(fragment.path), ours, line, [], left)
            first += len(table)
