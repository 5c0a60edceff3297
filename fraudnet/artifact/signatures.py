"""Names of the signatures of an artifact."""

WINDOW = "score_window"
"""One raw window, to the outputs of its newest transaction."""
SEQUENCE = "score_sequence"
"""A longer window, to the outputs of every transaction that has a whole one."""
STEP = "step"
"""One transaction and a state, to its outputs and the state after it."""
