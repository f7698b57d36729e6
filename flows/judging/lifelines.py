"""Lifelines: processes that live as long as we do, and never longer, with all that they start."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.judging import guard

_GRACE = 20.0  # seconds in which a process may end by itself
_TAIL_BYTES = 16_384
_TAIL_LINES = 20


@contextmanager
def keep_alive(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, talks: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as long as the context lasts; its return code is that of the process given (modulo 256).

    talks: its standard input and output are pipes to us, and only its errors go to `log`. It and all that it started
    are ended with the context, and also where this process is killed: by a guard, which a signal of the terminal does
    not reach.
    """
    reading, writing = os.pipe()
    guarded = [sys.executable, "-I", str(Path(guard.__file__)), str(reading), str(_GRACE), *command]
    try:
        with log.open("ab") as errors:
            process = subprocess.Popen(  # noqa: S603 (our own module, and the caller's command)
                guarded,
                env=environment,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                pass_fds=[reading],
                start_new_session=True,
            )
    except BaseException:  # an interrupt too: the guard is gone with the other end, and the error goes on
        os.close(writing)
        raise
    finally:
        os.close(reading)
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            os.write(writing, b"\0")  # a fork of ours may hold the pipe open
        os.close(writing)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def quote_end(log: Path) -> str:
    """Give the last lines of a log, without characters that could play with a terminal."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    lines = ["".join(letter for letter in line if letter.isprintable()) for line in text.splitlines()]
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (nothing)"
