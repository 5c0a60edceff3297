"""Work on large arrays that all cores share: numpy and Arrow let go of Python's lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

BLOCK_ROWS = 1 << 14  # of a block whose arrays stay in a core's own cache

T = TypeVar("T")


def at_once(*calls: Callable[[], T]) -> list[T]:
    """The answers of calls that run side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [answer.result() for answer in [pool.submit(call) for call in calls]]


def block_by_block(work: Callable[[int, int], None], edges: Iterable[int]) -> None:
    """Call `work(begin, end)` for each pair of neighbouring edges, side by side.

    Args:
        work: on rows that no other block touches.
        edges: increasing; from them, blocks follow each other without a gap.
    """
    edges = list(edges)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def even_edges(rows: int) -> list[int]:
    """Edges of blocks of `BLOCK_ROWS` rows."""
    return [*range(0, rows, BLOCK_ROWS), rows]
