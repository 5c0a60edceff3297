"""fraudnet: fraud detection that runs on a phone, from raw transactions to reviewed cases."""

__version__ = "0.1.0"
