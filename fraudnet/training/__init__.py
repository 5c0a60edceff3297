"""Fit the network, calibrate it, choose its threshold, evaluate and track it."""
