"""The SQL of the case store."""

CONTENT = "account_id, timestamp_us, counterparty_id, amount, columns"
SCORE = (
    "fraud_probability, ood_distance, threshold, flagged, artifact_sha256, familiar, "
    "reputation_as_of_us, reasons, revises"
)
STORED = f"transaction_id, {CONTENT}, sequence, reputation, {SCORE}"
FROM = "FROM transactions"
IN_ORDER = "ORDER BY account_id, timestamp_us, sequence"
FIND = f"SELECT {STORED} {FROM} WHERE transaction_id = ?"
AT = f"SELECT {STORED} {FROM} WHERE sequence = ?"
DECIDED_AFTER = f"""
SELECT {STORED} {FROM} WHERE sequence > ? AND fraud_probability IS NOT NULL
ORDER BY sequence LIMIT ?"""
UNEXPLAINED = """
SELECT transaction_id FROM transactions
WHERE flagged AND reasons IS NULL AND artifact_sha256 = ? ORDER BY sequence"""
BEFORE = """
FROM transactions WHERE account_id = ? AND (timestamp_us, sequence) < (?, ?)
ORDER BY timestamp_us DESC, sequence DESC LIMIT ?"""
AFTER = """
FROM transactions WHERE account_id = ? AND (timestamp_us, sequence) > (?, ?)
ORDER BY timestamp_us, sequence LIMIT ?"""
HISTORY = f"SELECT timestamp_us, sequence, packed {BEFORE}"
LATER = f"SELECT timestamp_us, sequence, packed {AFTER}"
HISTORY_THEN = HISTORY.replace("ORDER", "AND sequence < ? ORDER")
CASE_FIELDS = (
    "transaction_id", "timestamp_us", "counterparty_id", "amount", "columns", "reputation",
    "fraud_probability", "ood_distance",
)  # fmt: skip
CASE_WINDOW = f"SELECT {', '.join(CASE_FIELDS)} {BEFORE}"
INSERT = """
INSERT INTO transactions (
  transaction_id, account_id, timestamp_us, counterparty_id, amount, columns, reputation, packed,
  fraud_probability, ood_distance, threshold, flagged, artifact_sha256, familiar,
  reputation_as_of_us, reasons, revises)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
DECIDE = """
UPDATE transactions SET fraud_probability = ?, ood_distance = ?, threshold = ?, flagged = ?,
  artifact_sha256 = ?, familiar = ?, reputation_as_of_us = ?, reasons = ?,
  revises = COALESCE(?, revises)  -- late history knows it before it is decided
WHERE sequence = ?"""
OPEN_CASE = "INSERT INTO cases (transaction_id, opened_at_us, window) VALUES (?, ?, ?)"
# A case is its owner's: what was flagged stays until it is forgotten.
PRUNE = """
DELETE FROM transactions WHERE account_id = ? AND timestamp_us < ?
AND NOT EXISTS (SELECT 1 FROM cases WHERE cases.transaction_id = transactions.transaction_id)"""
UNDECIDED = "SELECT account_id, timestamp_us FROM transactions WHERE fraud_probability IS NULL"
STRETCH = """
SELECT timestamp_us, sequence, packed, transaction_id, fraud_probability IS NOT NULL,
       reputation = '{}', revises
FROM transactions WHERE account_id = ? AND timestamp_us >= ? AND timestamp_us < ?
ORDER BY timestamp_us, sequence"""
