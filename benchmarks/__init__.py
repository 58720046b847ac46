"""What the numbers in README.md come from: each module is a program, `python -m benchmarks.NAME --help`."""
