"""Measurements of the project against named peers, each run as a command."""
