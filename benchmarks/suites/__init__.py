"""What `benchmarks/bench.py` runs: one module a suite, each with `run(records, size)`."""
