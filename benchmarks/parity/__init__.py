"""The same numbers as the released package? `python -m benchmarks.parity` compares them."""
