"""The trained network as one .tflite that says what it reads and what it must answer."""
