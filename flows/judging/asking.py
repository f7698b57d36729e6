"""Asking: brings to a judge what the ledger does not know yet, and its answers into the ledger, as they come.

A question is never asked again once its key has an `ok`. What failed in an earlier build is asked once more in each
build. A process that is killed loses the calls that were under way, and nothing else.
"""

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from flows.judging.answering import Answerer, Headway
from flows.progress import Reporter
from schemas.chat_sections import Judge
from schemas.errors import CeilingError
from schemas.identity import join_parts
from schemas.judging import QUESTION, State
from schemas.manifest import Partition
from warehouse.ledger import Ledger
from warehouse.partitions import read_partition

_AT_ONCE = 2048  # questions handed over together: behind a ceiling, so many more may still be asked
_LATELY = 30.0  # seconds over which the rate is taken
_REPORT_SECONDS = 0.5
_SHOWN_DETAILS = 3
_SUMS = ("tries", "prompt_tokens", "completion_tokens")

Questions: TypeAlias = Sequence[Partition] | Iterator[pa.Table]
"""Partitions of QUESTION in the ledger's root, or tables of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of an asking. `questions == found + asked`, and `asked` is the sum of the states.

    questions: rows. found: those whose key was answered before, or is another row's too. asked: keys that were asked.
    states: how those ended. tries, prompt_tokens, completion_tokens: of what was asked; seconds: of the whole.
    """

    questions: int
    found: int
    asked: int
    states: Mapping[State, int]
    tries: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float

    @property
    def failed(self) -> int:
        """Keys that ended without an answer."""
        return self.asked - self.states.get(State.OK, 0)


def ask_questions(
    questions: Questions, answerer: Answerer, ledger: Ledger, *, reporter: Reporter, judge: Judge
) -> Asked:
    """Ask what the ledger has no `ok` for, each key once -> what came of it.

    Memory: the questions of one partition, or table, and the keys that are under way or failed. Of processes that ask
    the same at the same time each pays for itself; all their answers are kept, and the first counts.

    Raises CeilingError where more than `judge.max_failures` of the questions failed (as soon as that is certain), and
    whatever the answerer raises; what was answered by then is in the ledger.
    """
    is_counted = isinstance(questions, Sequence)
    total = sum(part.rows for part in questions if isinstance(part, Partition)) if is_counted else None
    with ledger.writer() as writer:
        asking = _Asking(ledger, reporter, judge.max_failures, total)

        def sink(answers: pa.Table) -> None:
            writer.append(answers)  # first: what the asking has counted, the ledger has
            asking.count(answers)

        missing = asking.miss(_read(questions, ledger))
        for first in missing:  # where the ledger knows all, no judge need be there
            answerer.answer(chain([first], missing), sink)
    if asking.total != 0:  # of nothing there is nothing to say
        asking.report()
    asking.hold_ceiling()
    return asking.tell()


def digest_answers(ledger: Ledger, keys: pa.Array | pa.ChunkedArray) -> str:
    """Name what the ledger says about keys, as `name_answers` does."""
    return name_answers(ledger.find(keys))


def name_answers(found: pa.Table) -> str:
    """Name answers (ANSWER, as `Ledger.find` sorts them), 32 hex digits: equal where key, state, answer and probs are.

    When it was asked, with how many tries and tokens, and in which words it failed, is no part of it.
    """
    count = pl.col("probs").list.len()  # null and none at all differ
    lines = pl.DataFrame(found).select(join_parts("key", "state", "answer", count).str.join("\n")).item()
    probs = pc.list_flatten(found["probs"]).to_numpy().astype("<f4").tobytes()
    return hashlib.sha256((lines or "").encode() + b"\n" + probs).hexdigest()[:32]


def _read(questions: Questions, ledger: Ledger) -> Iterator[pa.Table]:
    for one in questions:
        yield read_partition(ledger.root, one, QUESTION.names) if isinstance(one, Partition) else one


@dataclass
class _Asking:
    """One asking, while it lasts. `miss` runs in a thread of the answerer, `count` in that of the sink."""

    ledger: Ledger
    reporter: Reporter
    most_failures: float
    total: int | None
    found: int = 0
    asked: int = 0
    states: Counter[State] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    _open: set[str] = field(default_factory=set)  # to be asked, and not answered yet
    _failed: set[str] = field(default_factory=set)  # in this run: not asked again
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = field(default_factory=time.monotonic)
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def miss(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Give the questions whose keys miss an answer, each key once; ends early where the ceiling is broken."""
        for table in tables:
            missing = self._find_missing(table)
            self.found += table.num_rows - missing.num_rows
            for start in range(0, missing.num_rows, _AT_ONCE):
                failed = self.states.total() - self.states[State.OK]
                if self.total is not None and failed > self.most_failures * self.total:
                    return
                part = missing.slice(start, _AT_ONCE)
                self.asked += part.num_rows
                yield part

    def _find_missing(self, table: pa.Table) -> pa.Table:
        with self._lock:  # before the ledger is read: whoever leaves meanwhile is there
            busy = pl.Series("key", [*self._open, *self._failed], pl.String)
        known = pl.concat([busy, self.ledger.find_answered(table["key"])]).implode()
        keys = pl.DataFrame(table.select(["key"])).with_row_index("at").unique("key", keep="first")
        left = keys.filter(~pl.col("key").is_in(known)).sort("at")
        with self._lock:
            self._open.update(left["key"])
        return table.take(left["at"].to_arrow())

    def count(self, answers: pa.Table) -> None:
        """Count answers that the ledger has."""
        rows = pl.DataFrame(answers.select(["key", "state", "detail", *_SUMS]))
        failed = rows.filter(pl.col("state") != State.OK)
        with self._lock:
            self._failed.update(failed["key"])
            self._open.difference_update(rows["key"])
        self.states.update(map(State, rows["state"]))
        self.details.update(detail or "no words" for detail in failed["detail"])
        self.sums.update({name: int(rows[name].sum()) for name in _SUMS})
        if not self._marks or time.monotonic() >= self._marks[-1][0] + _REPORT_SECONDS:
            self.report()

    def report(self) -> None:
        """Say how far it is; the rate is that of the last half minute."""
        now, ended = time.monotonic(), self.states.total()
        self._marks.append((now, ended))
        while len(self._marks) > 1 and self._marks[1][0] < now - _LATELY:
            self._marks.popleft()
        since, before = (self._began, 0) if now - self._began < _LATELY else self._marks[0]
        self.reporter.ask(
            Headway(
                done=self.found + ended,
                total=self.total,
                seconds=now - self._began,
                rate=(ended - before) / (now - since) if now > since else 0.0,
                states=dict(self.states),
                **self.sums,
            )
        )

    def hold_ceiling(self) -> None:
        """Raise CeilingError where more failed than the recipe allows; a question without an end failed too."""
        questions, failed = self.total or self.found + self.asked, self.asked - self.states[State.OK]
        if failed <= self.most_failures * questions:
            return
        counts = ", ".join(f"{count:,} {state}" for state, count in self.states.most_common())
        lost = self.asked - self.states.total()
        words = "; ".join(f"`{detail}` ({count:,})" for detail, count in self.details.most_common(_SHOWN_DETAILS))
        raise CeilingError(
            f"the judge: {failed:,} of {questions:,} questions ended without an answer "
            f"({self.asked:,} were asked now: {counts}{f', {lost:,} lost' if lost else ''}), most often {words}. "
            f"The recipe allows {self.most_failures:.2%} (judge.max_failures); what was answered is kept, and the next "
            "build asks the others again"
        )

    def tell(self) -> Asked:
        """Say what came of it."""
        sums = {name: self.sums[name] for name in _SUMS}
        seconds = time.monotonic() - self._began
        return Asked(self.found + self.asked, self.found, self.asked, dict(self.states), seconds=seconds, **sums)
