"""Low-rank compression of a trained network's 1x1 layers: spectra, ranks, factors, fine-tuning."""
