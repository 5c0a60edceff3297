"""Data profile: what a file of transactions holds, what drifts in it, and what leaks the label."""
