"""The ledger: every answer of a judge that was ever paid for, appended as it comes and never changed.

A writer has a log of its own, to which answers are appended in one write: a process that is killed loses nothing that
it was told of, and a power cut takes the answers of a few seconds at most (`warehouse/_answer_logs.py` says which).
Full logs, and those of writers that are gone, become sorted Parquet segments; many small segments become one. A root
in a store cannot append: there the logs lie in the machine's temporary folder, and every hundred answers are uploaded.
What a killed writer left there is uploaded by the next one on that machine.

Logs and segments may hold an answer twice; readers take the one that counts.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.identity import hash64
from schemas.judging import ANSWER, State
from warehouse._answer_logs import Log, begin_log, list_logs, read_log, take_over
from warehouse.root import Root

_SEGMENTS = "ledger/segments"
_LOG_ROWS = 50_000  # of a log before it becomes a segment: readers parse logs line by line
_STORE_ROWS = 100  # answers that are lost with a machine, where the root is a store
_MOST_SEGMENTS = 32  # of about one size; beyond it they become one
_SMALL_BYTES = 1 << 20  # larger segments are left as they are
_GROUP_ROWS = 65_536
_PAID = ("key", "rubric", "model", "judge", "state", "tries", "prompt_tokens", "completion_tokens", "seconds")
_KIND = ("rubric", "model", "judge", "state")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The answers of one warehouse. Cheap to make, safe to pickle; any number of processes may read and write.

    Errors: InputError where a file of the ledger cannot be read, RootError where it cannot be written.
    """

    root: Root

    def find(self, keys: pa.Array | pa.ChunkedArray) -> pa.Table:
        """Look questions up -> ANSWER, the one row that counts for each key that is there, sorted by key.

        An `ok` counts before a failure; of several the first `ok`, and the latest failure. Memory: the rows found, and
        a row group.
        """
        wanted = pl.Series("key", keys, dtype=pl.String).unique().implode()
        found = [table.filter(pl.col("key").is_in(wanted)) for table in self._tables(ANSWER.names)]
        return choose(pl.concat(found)).to_arrow().cast(ANSWER) if found else ANSWER.empty_table()

    def find_answered(self, keys: pa.Array | pa.ChunkedArray) -> pl.Series:
        """Look up which questions need not be asked again: the keys that have an `ok`. Faster than `find`."""
        wanted = pl.Series("key", keys, dtype=pl.String).unique().implode()
        is_answered = pl.col("key").is_in(wanted) & (pl.col("state") == State.OK)
        found = [table.filter(is_answered)["key"] for table in self._tables(["key", "state"])]
        return pl.concat([pl.Series("key", [], pl.String), *found]).unique().sort()

    def summarise(self) -> pl.DataFrame:
        """Count the answers that were paid for -> a row for each rubric, model, judge and state.

        answers, tries: how many. questions: of how many keys this is the end that counts. prompt_tokens,
        completion_tokens, seconds: sums. first, last: when. An answer that stands in the ledger twice is counted once;
        several answers to one key are several.
        """
        names = [*_PAID, "answered_at"]
        small = [hash64("key").alias("key"), pl.col(_KIND).cast(pl.Categorical)]  # there may be millions
        tables = [table.with_columns(small) for table in self._tables(names)]
        rows = pl.concat(tables or [pl.DataFrame(ANSWER.empty_table()).select(names)])
        rows = rows.unique(["key", "state", "answered_at", "seconds"])
        counting = rows.sort(_rank()).unique("key", keep="first").group_by(_KIND).agg(questions=pl.len())
        return (
            rows.group_by(_KIND)
            .agg(
                pl.len().alias("answers"),
                pl.col("tries", "prompt_tokens", "completion_tokens").cast(pl.Int64).sum(),
                pl.col("seconds").cast(pl.Float64).sum(),
                first=pl.col("answered_at").min(),
                last=pl.col("answered_at").max(),
            )
            .join(counting, on=_KIND, how="left")
            .with_columns(pl.col("questions").fill_null(0), pl.col(_KIND).cast(pl.String))
            .sort(_KIND)
        )

    def list_failures(self) -> pl.DataFrame:
        """List what went wrong -> rubric, model, state, detail, answers; the commonest first.

        Details that differ in their numbers only, such as the number of a request, are one: the first of them.
        """
        names = ["key", "rubric", "model", "state", "detail", "answered_at"]
        tables = [table.filter(pl.col("state") != State.OK) for table in self._tables(names)]
        kind = pl.col("detail").str.replace_all(r"[0-9]+", "#").alias("kind")
        return (
            pl.concat(tables or [pl.DataFrame(ANSWER.empty_table()).select(names)])
            .unique()
            .group_by("rubric", "model", "state", kind)
            .agg(pl.col("detail").min(), answers=pl.len())
            .drop("kind")
            .sort("answers", "rubric", "model", "state", "detail", descending=[True, False, False, False, False])
        )

    @contextmanager
    def writer(self) -> Iterator["Writer"]:
        """Append through a log of one's own; when the block ends, however it ends, the log becomes a segment."""
        self.compact()
        writer = Writer(self)
        try:
            yield writer
        finally:
            writer.close()

    def compact(self) -> None:
        """Make segments of logs whose writers are gone, and one of many small segments. Readers notice nothing."""
        for path in list_logs(self.root):
            with take_over(path) as is_ours:
                if is_ours:
                    write_segment(self.root, read_log(path))
                    path.unlink()
        self.merge()

    def merge(self) -> None:
        """Make one segment of many of about one size: what is written once more stays little, however many come."""
        sizes: dict[int, list[str]] = {}
        for key, size in self.root.keys(_SEGMENTS).items():
            if size < _SMALL_BYTES:
                sizes.setdefault(size.bit_length() // 5, []).append(key)
        for keys in sizes.values():
            if len(keys) > _MOST_SEGMENTS:
                self._merge(keys)

    def _merge(self, keys: Sequence[str]) -> None:
        try:
            rows = pl.concat([table for key in keys for table in _read_segment(self.root, key, ANSWER.names)])
        except FileNotFoundError:
            return  # another process is merging them
        merged = write_segment(self.root, rows)
        for key in set(keys) - {merged}:
            self.root.delete(key)

    def _tables(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read logs and segments, a row group at a time.

        Logs come first: one that becomes a segment meanwhile is read twice, and not missed. So is a segment: where one
        was merged away, the listing that follows has the merged one.
        """
        for path in list_logs(self.root):
            try:
                yield read_log(path).select(columns)
            except FileNotFoundError:
                continue  # its segment is there
        done: set[str] = set()
        while due := sorted(set(self.root.keys(_SEGMENTS)) - done):
            for key in due:
                done.add(key)
                try:
                    yield from _read_segment(self.root, key, columns)
                except FileNotFoundError:
                    continue


def open_ledger(root: Root) -> Ledger:
    """Open the ledger of a warehouse; it is empty until the first answer."""
    return Ledger(root)


def choose(rows: pl.DataFrame) -> pl.DataFrame:
    """Choose the answer that counts for each key: the first `ok`, else the latest failure; sorted by key."""
    probs = pl.col("probs").cast(pl.List(pl.String)).list.join(",")  # so that no order of files decides
    return rows.sort(*_rank(), "answer", "detail", "judge", probs).unique("key", keep="first", maintain_order=True)


def _rank() -> list[pl.Expr]:
    ok, age = pl.col("state") == State.OK, pl.col("answered_at").to_physical()
    return [pl.col("key"), ~ok, pl.when(ok).then(age).otherwise(-age)]


@dataclass(slots=True)
class Writer:
    """Appends answers. One for each process; its methods may be called from one thread."""

    ledger: Ledger
    _log: Log | None = None

    def append(self, answers: pa.Table) -> None:
        """Append ANSWER rows: when this returns they outlive the process. Raises RootError where there is no room."""
        if not answers.num_rows:
            return
        log = self._log = self._log or begin_log(self.ledger.root)
        log.append(pl.DataFrame(answers.cast(ANSWER)).write_ndjson().encode(), answers.num_rows)
        if log.rows >= (_LOG_ROWS if self.ledger.root.is_local else _STORE_ROWS):
            self.close()
            self.ledger.merge()

    def close(self) -> None:
        """Make a segment of the log. Where that fails the log stays, and the next writer does it."""
        if self._log is None:
            return
        log, self._log = self._log, None
        try:
            write_segment(self.ledger.root, read_log(log.path))
            log.path.unlink()
        finally:
            os.close(log.file)


def write_segment(root: Root, rows: pl.DataFrame) -> str:
    """Write rows (ANSWER) as a segment, named by its content -> its key; no rows are no segment.

    It is on the disk before it is there under its key, and so before anybody removes what it was made of.
    """
    if rows.is_empty():
        return ""
    table = rows.sort("key", "answered_at").unique(maintain_order=True).to_arrow().cast(ANSWER)
    file = BytesIO()
    pq.write_table(table, file, compression="zstd", row_group_size=_GROUP_ROWS)
    key = f"{_SEGMENTS}/{hashlib.sha256(file.getbuffer()).hexdigest()[:32]}.parquet"
    with root.staged(key) as path, path.open("wb") as staged:
        staged.write(file.getbuffer())
        staged.flush()
        os.fsync(staged.fileno())
    return key


def _read_segment(root: Root, key: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Read a segment, a row group at a time; raises FileNotFoundError where it was merged away."""
    data = root.read(key)
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as segment:
            for group in range(segment.num_row_groups):
                yield pl.DataFrame(segment.read_row_group(group, columns=columns)).select(columns)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            root.locate(key),
            f"cannot be read ({error})",
            "a segment of the ledger; without it its answers are asked again",
        ) from error
