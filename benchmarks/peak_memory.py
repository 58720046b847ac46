"""Largest resident memory of single processes, as the system counts it: every page touched, mapped files included."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


def peak_mb(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command and return its largest resident memory in MB (10**6 bytes), its children not counted.

    The calling process must be small: the system counts a child's memory from before its own program starts.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    kilobytes = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return kilobytes * 1024 / 1e6
