"""Answerers: what can be asked, whether a server or an engine in this process; and how far an asking has got."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from schemas.judging import State


class Answerer(Protocol):
    """Answers questions, and never loses one: for every question comes one row, whatever its state."""

    def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        """Ask the questions (QUESTION) and hand the answers (ANSWER) to `sink` as they come, from this thread.

        The next table is taken when the one before is nearly done; in another thread, never in two at once. Raises
        FatalError where the judge refuses to work, and TransientError where it is gone; the sink has had all answers.
        """


@dataclass(frozen=True, slots=True)
class Headway:
    """How far an asking has got.

    done: questions that ended, whatever their state, of `total` where that is known. rate: done in a second, of late.
    tries: requests that ended.
    """

    done: int = 0
    total: int | None = None
    seconds: float = 0.0
    rate: float = 0.0
    tries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    states: Mapping[State, int] = field(default_factory=dict)

    @property
    def eta(self) -> float | None:
        """Seconds to the end at the rate of late; None where the end or the rate is unknown."""
        return None if self.total is None or self.rate <= 0 else max(0, self.total - self.done) / self.rate
