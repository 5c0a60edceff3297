"""Scoring as a service: JSON lines on standard input, a Unix socket, or HTTP."""
