"""The guard: runs a command in a process group of its own, and ends the whole group when its starter is gone.

    python guard.py LIFELINE GRACE COMMAND ...

LIFELINE is the number of a pipe's reading end, whose other end only the starter holds: the system closes it whatever
the starter dies of, SIGKILL among it. GRACE: seconds between the request to end and the order. Needs no package.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

_LOOK_SECONDS = 0.2


def guard(lifeline: int, grace: float, command: list[str]) -> int:
    """Run `command` to its end, or to that of the lifeline -> its return code; negative for a signal's number."""
    signal.signal(signal.SIGTERM, _leave)
    process = subprocess.Popen(command, process_group=0)  # noqa: S603 (the starter's own command)
    try:
        while process.poll() is None and not select.select([lifeline], [], [], _LOOK_SECONDS)[0]:
            pass
    finally:
        _end(process, grace)
    return process.wait()


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the group to end, and make it: what the command started may outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
        os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while time.monotonic() < end:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(_LOOK_SECONDS / 4)
        os.killpg(process.pid, signal.SIGKILL)


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]) & 0xFF)
