"""The network: raw windows in, probability and distance out, everything in the graph."""
