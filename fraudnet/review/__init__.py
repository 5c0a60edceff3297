"""The analyst's review: the queue of flagged cases, one case at a time, verdicts that stay."""
