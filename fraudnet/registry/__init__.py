"""Which network is in use: two runs compared, candidates, and the champion they have to beat."""
