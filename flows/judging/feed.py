"""What flows into the client and out of it: questions as there is room for them, answers as soon as they are there."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from schemas.judging import ANSWER

_AT_ONCE = 256  # questions that leave Arrow together


class Feed:
    """Questions (QUESTION), one at a time. The next table is read in a thread while the one before is asked about.

    Holds two tables at most, however many there are.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="questions")
        self._next = self._read()
        self._rows: Iterator[dict[str, Any]] = iter(())
        self._lock = asyncio.Lock()

    async def take(self) -> dict[str, Any] | None:
        """Take a question; None when there are no more."""
        while (row := next(self._rows, None)) is None:
            async with self._lock:
                if (row := next(self._rows, None)) is not None:  # another has fetched a table meanwhile
                    return row
                table = await asyncio.shield(self._next)
                if table is None:
                    return None
                self._rows, self._next = _list_rows(table), self._read()
        return row

    def close(self) -> None:
        """Read no further; waits for the table that is being read."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._next.done() and not self._next.cancelled():
            self._next.exception()  # nobody will ask for it: say that it was seen

    def _read(self) -> asyncio.Future[pa.Table | None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, next, self._tables, None)


def _list_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.select(["key", "vote", "text"]).to_batches(max_chunksize=_AT_ONCE):
        yield from batch.to_pylist()


class Outbox:
    """Answers on their way to the sink: those that come at once go together.

    Who puts one in goes on when the sink has it, so that a process that is killed loses no more than `in_flight` calls.
    """

    def __init__(self, sink: Callable[[pa.Table], None], delay: float) -> None:
        self._sink, self._delay = sink, delay
        self._rows: list[dict[str, Any]] = []
        self._filled, self._written = asyncio.Event(), asyncio.Event()

    async def put(self, row: dict[str, Any]) -> None:
        """Hand a row of ANSWER over; returns when the sink has it."""
        self._rows.append(row)
        self._filled.set()
        await self._written.wait()

    async def run(self) -> None:
        """Empty the box again and again, until cancelled."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(self._delay)
            self.flush()

    def flush(self) -> None:
        """Give all that is there to the sink."""
        rows, self._rows = self._rows, []
        written, self._written = self._written, asyncio.Event()
        self._filled.clear()
        if rows:
            self._sink(pa.Table.from_pylist(rows, schema=ANSWER))
        written.set()
