"""The accounts that were scored last, as packed windows in memory."""

from collections import OrderedDict
from collections.abc import Sequence

from fraudnet.device.errors import TransactionError
from fraudnet.device.store import AFTER_ALL, Entry, Place, Store, Stored
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import ROOM, Past, Window

CACHE_BYTES = 24 << 20


class Accounts:
    """Pasts of accounts, read from the store when they are asked for.

    All methods are called inside a commit of the store.

    Args:
        store: that holds the transactions.
        window: of the artifact.
        keep: how many transactions of an account the store keeps at least; None: all.
    """

    def __init__(self, store: Store, window: Window, keep: int | None) -> None:
        self._store = store
        self._window = window
        self._keep = None if keep is None else max(keep, window.length)
        self._shortened = 0
        self._held: OrderedDict[str, Past] = OrderedDict()
        self._limit = max(1, CACHE_BYTES // (4 * len(window.names) * (window.length + ROOM)))

    def past(self, account_id: str) -> Past:
        """The account's last transactions."""
        if self._store.changed_by_another():
            self._held.clear()
        past = self._held.get(account_id)
        if past is None:
            places = self._whole(account_id)
            newest_us = places[-1].timestamp_us if places else None
            past = self._held[account_id] = Past(self._window, self.rows(places), newest_us)
            is_due = len(places) == self._window.length - 1
            if len(self._held) > self._limit:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(account_id)
            is_due = past.is_full
        if is_due and self._keep is not None:
            self._store.prune(account_id, self._keep)
        return past

    def _whole(self, account_id: str) -> list[Place]:
        """What the next window reads, from where on nothing is missing in between.

        Of what is older a case may be left; and a longer window than the store kept for reads less.
        """
        context = self._window.length - 1
        places = self._store.before(account_id, AFTER_ALL, AFTER_ALL, context)
        kept_from_us = self._store.kept_from_us(account_id)
        if kept_from_us is not None:
            places = [place for place in places if place.timestamp_us >= kept_from_us]
            self._shortened += len(places) < context
        return places

    def past_of(self, transaction: Transaction, sequence: int, then: bool = False) -> Past:
        """The last transactions of the account before a place in its history.

        Args:
            transaction: at that place.
            sequence: its own.
            then: without those that arrived later.

        Raises:
            TransactionError: they are no longer held.
        """
        account_id, moment_us = transaction.account_id, transaction.timestamp_us
        context = self._window.length - 1
        before = self._store.before_then if then else self._store.before
        places = before(account_id, moment_us, sequence, context)
        kept_from_us = self._store.kept_from_us(account_id)
        if kept_from_us is not None and (
            len(places) < context or places[0].timestamp_us < kept_from_us
        ):
            raise no_longer_held(transaction.transaction_id)
        return Past(self._window, self.rows(places), None)

    def rows(self, places: Sequence[Place | Entry]) -> list[bytes]:
        """Packed rows of what is stored; encoded anew where they were packed for other inputs."""
        fitting = [place.packed if self._window.fits(place.packed) else None for place in places]
        missing = [
            place.sequence for place, row in zip(places, fitting, strict=True) if row is None
        ]
        again = iter(self._store.at(missing))
        return [row or self._pack(next(again)) for row in fitting]

    def _pack(self, stored: Stored) -> bytes:
        return self._window.pack_again(stored.transaction, stored.reputation)

    def notices(self) -> list[str]:
        """Returns what the user should know."""
        if not self._shortened:
            return []
        return [
            f"{self._shortened} accounts were scored with less history than they had: the store "
            "kept less of them than this artifact's window reads"
        ]

    def drop(self, account_id: str) -> None:
        """Reads an account anew when it is next asked for."""
        self._held.pop(account_id, None)

    def clear(self) -> None:
        """Reads all anew."""
        self._held.clear()


def no_longer_held(transaction_id: str) -> TransactionError:
    """The error that a transaction's window reaches before the history that is kept."""
    return TransactionError(
        f"transaction {transaction_id!r} is from before the history that is "
        "kept of its account: it may have been scored then, and cannot be now; keep more"
    )
