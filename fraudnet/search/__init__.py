"""Searches over networks and settings, each a tree of MLflow runs."""
