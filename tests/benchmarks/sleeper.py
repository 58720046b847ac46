"""A worker that sleeps, for the tests of `benchmarks.processes`."""

import sys
import time
from functools import partial

from benchmarks.processes import Task, serve

if __name__ == "__main__":
    serve({"sleep": Task(partial(time.sleep, float(sys.argv[1])), amount=5, unit="naps", times=4)}, greeting="hello")
