"""Energy of a .tflite file on a named device: counted, estimated as a range, held to a budget.

`counting` counts operations and bytes, `profiles` describes devices, `estimate` turns both into
energy, `budget` is the gate, `report` and `command` show it.
"""
