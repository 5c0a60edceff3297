"""What a store holds of its accounts: shown, handed out, erased. No artifact is needed for it."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace

from fraudnet.device.decisions import Decision, Held
from fraudnet.device.store import Store, Stored
from fraudnet.device.transactions import Transaction


class Records:
    """The accounts of a store, by the ids that their owner gives.

    Args:
        store: that holds them.
        account_key: that the store was opened with.
    """

    def __init__(self, store: Store, account_key: bytes | None) -> None:
        self._store = store
        self._account_key = account_key

    def stored_id(self, account_id: str) -> str:
        """The account id as it is stored."""
        key = self._account_key
        return account_id if key is None else _hashed(account_id, key)

    def as_stored(self, transaction: Transaction) -> Transaction:
        """A transaction with its account id as it is stored."""
        if self._account_key is None:
            return transaction
        return replace(transaction, account_id=self.stored_id(transaction.account_id))

    def history(self, account_id: str) -> list[Held]:
        """What is stored of an account, oldest first."""
        return [
            held(stored, account_id) for stored in self._store.all_of(self.stored_id(account_id))
        ]

    def export(self) -> Iterator[str]:
        """Everything that is stored, by account, as JSON lines; account ids as they are stored."""
        for stored in self._store.all_of(None):
            yield held(stored, stored.transaction.account_id).line()

    def forget(self, account_id: str) -> dict[str, int]:
        """Erases an account; see `Scorer.forget`.

        Raises:
            StoreError: another process reads the store, or SQLite fails; call it again.
        """
        return self._store.forget(self.stored_id(account_id))


def held(stored: Stored, account_id: str) -> Held:
    """What is stored of a transaction, under the account id that its owner gives."""
    decision = stored.score and Decision.about(
        stored.transaction.transaction_id, account_id, stored.transaction.timestamp_us,
        stored.score, repeated=True, latency_us=0,
    )  # fmt: skip
    transaction = replace(stored.transaction, account_id=account_id)
    return Held(transaction, stored.reputation, decision)


def _hashed(account_id: str, account_key: bytes) -> str:
    """What stands for an account id: HMAC-SHA256 (RFC 2104), in hexadecimal."""
    return hmac.digest(account_key, account_id.encode(), hashlib.sha256).hex()
