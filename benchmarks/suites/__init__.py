"""What `python -m benchmarks` runs: one module a suite, each with `run(results, size, ...)`."""
