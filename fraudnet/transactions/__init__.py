"""Transactions: simulated, read from files, checked, quarantined, in canonical columns."""
