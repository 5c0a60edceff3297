"""How long an artifact takes: single inferences, whole scoring, and a live stream of arrivals.

Everything is timed in a process of its own, and needs numpy and a TFLite runtime alone, so that it
runs where the scorer does. `answering` times the network, `scoring` the scorer with its store,
`stream` arrivals that do not wait for it; `bench` puts them together, `command` shows them.
"""
