"""Progress: what a person sees while a build runs. Bars on a terminal, a line a stage elsewhere, or nothing."""

import math
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from flows.judging.answering import Headway

_ASKING = "asking"
_LINE_SECONDS = 60.0

_NARROWEST, _WIDEST = 8, 28  # bar, in characters
_BESIDE = 72  # characters beside the bar: name, count, unit, time and a note such as `120 already made`
_EXACT = 10_000  # from there on counts are shortened
_THOUSAND = 1000


class Reporter(Protocol):
    """Hears of each step: one stage of one source."""

    def begin(self, stage: str, source: str, total: int, reused: int) -> None:
        """Say that a step begins: `total` partitions, of which `reused` are there already."""

    def advance(self, stage: str, source: str) -> None:
        """Say that one partition was made."""

    def end(self, stage: str, source: str) -> None:
        """Say that the step is complete."""

    def ask(self, headway: Headway) -> None:
        """Say how far the asking of a judge has got."""


class Silent:
    """Reports nothing."""

    def begin(self, stage: str, source: str, total: int, reused: int) -> None:
        """Do nothing."""

    def advance(self, stage: str, source: str) -> None:
        """Do nothing."""

    def end(self, stage: str, source: str) -> None:
        """Do nothing."""

    def ask(self, headway: Headway) -> None:
        """Do nothing."""


class _Drawing(Progress):
    """Bars, and below them, over as many lines as it takes, a text."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give what is drawn."""
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below, style="dim")


@dataclass
class Bars:
    """A bar a stage on a terminal; sources of one stage share it. Use as a context."""

    console: Console
    _progress: _Drawing = field(init=False)
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Lay the columns out: in a narrow terminal the bar gives way first, then the note."""
        note = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = _Drawing(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=max(_NARROWEST, min(_WIDEST, self.console.width - _BESIDE))),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
            console=self.console,
            expand=True,
        )

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; the bars stay."""
        self._progress.stop()

    def begin(self, stage: str, source: str, total: int, reused: int) -> None:
        """Add the step's partitions to its stage's bar."""
        with self._lock:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=0, note="", reused=0, unit="partitions")
            task = self._progress.tasks[self._tasks[stage]]
            reuse = task.fields["reused"] + reused
            self._progress.update(
                task.id,
                total=(task.total or 0) + total,
                completed=task.completed + reused,
                reused=reuse,
                note=f"{reuse} already made" if reuse else source,
            )

    def advance(self, stage: str, source: str) -> None:  # noqa: ARG002 (one bar serves all sources)
        """Move the stage's bar."""
        self._progress.advance(self._tasks[stage])

    def end(self, stage: str, source: str) -> None:
        """Do nothing: the bar is full."""

    def ask(self, headway: Headway) -> None:
        """Show the questions on a bar of their own, and below all bars what becomes of them."""
        with self._lock:
            if _ASKING not in self._tasks:
                self._tasks[_ASKING] = self._progress.add_task(_ASKING, note="", unit="questions")
            task = self._tasks[_ASKING]
        self._progress.update(task, total=headway.total, completed=headway.done)
        self._progress.below = f"{_ASKING}: {describe_headway(headway)}"


@dataclass
class Lines:
    """A line a step on standard error, for logs, and one a minute while a judge is asked."""

    _asked_at: float = -math.inf
    _told: tuple[int, int | None] = (-1, None)  # done and total, when last said

    def begin(self, stage: str, source: str, total: int, reused: int) -> None:
        """Say what the step is about to do."""
        made = f", {reused} already made" if reused else ""
        name = "".join(letter for letter in source if letter.isprintable())
        sys.stderr.write(f"{stage} {name}: {total} partitions{made}\n")  # one write: steps speak from several threads

    def advance(self, stage: str, source: str) -> None:
        """Do nothing: logs are kept short."""

    def end(self, stage: str, source: str) -> None:
        """Do nothing."""

    def ask(self, headway: Headway) -> None:
        """Say once a minute, and at the end, how far it is."""
        now = (headway.done, headway.total)
        is_end = headway.done == headway.total and now != self._told
        if is_end or time.monotonic() >= self._asked_at + _LINE_SECONDS:
            self._asked_at, self._told = time.monotonic(), now
            of = "" if headway.total is None else f" of {headway.total:,}"
            sys.stderr.write(f"{_ASKING}: {headway.done:,}{of} questions, {describe_headway(headway)}\n")


def describe_headway(headway: Headway) -> str:
    """Describe an asking in a line: states, rate, time left and tokens."""
    states = [f"{_shorten(count)} {state}" for state, count in headway.states.items()]
    left = [] if headway.eta is None else [f"{timedelta(seconds=round(headway.eta))} left"]
    tokens = headway.prompt_tokens + headway.completion_tokens
    return ", ".join([*states, f"{headway.rate:,.1f}/s", *left, f"{_shorten(tokens)} tokens"])


def _shorten(count: int) -> str:
    """Write a count in at most six characters.

    >>> [_shorten(count) for count in (480, 9_999, 90_500, 90_318_442, 999_999)]
    ['480', '9,999', '90.5k', '90.3M', '1.0M']
    """
    if count < _EXACT:
        return f"{count:,}"
    value, unit = count / _THOUSAND, "k"
    for larger in "MGT":
        if round(value, 1) >= _THOUSAND:
            value, unit = value / _THOUSAND, larger
    return f"{value:.1f}{unit}"
