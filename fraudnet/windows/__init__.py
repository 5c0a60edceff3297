"""Account histories, counterparty reputation, periods of time, and the raw windows of them."""
