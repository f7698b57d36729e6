"""Counting how far an asking has got, and how fast."""

import time
from collections import Counter, deque
from typing import Any

from flows.judging.answering import Headway
from flows.judging.endpoints import Endpoints
from schemas.judging import State

_LATELY = 30.0  # seconds over which the rate is taken


class Tally:
    """Counts what ends. total: how many questions there are, where that is known."""

    def __init__(self, total: int | None) -> None:
        self._total, self._began = total, time.monotonic()
        self._states: Counter[State] = Counter()
        self._sums: Counter[str] = Counter()
        self._marks: deque[tuple[float, int]] = deque([(self._began, 0)])

    def count(self, row: dict[str, Any]) -> None:
        """Count the end of a question (a row of ANSWER)."""
        self._states[row["state"]] += 1
        for name in ("tries", "prompt_tokens", "completion_tokens"):
            self._sums[name] += row[name] or 0

    def tell(self, endpoints: Endpoints) -> Headway:
        """Say how far it is."""
        now, done = time.monotonic(), self._states.total()
        self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] < now - _LATELY:  # noqa: PLR2004 (the two ends)
            self._marks.popleft()
        since, before = self._marks[0]
        return Headway(
            done=done,
            total=self._total,
            in_flight=endpoints.in_flight,
            limit=endpoints.limit,
            seconds=now - self._began,
            rate=(done - before) / (now - since) if now > since else 0.0,
            states=dict(self._states),
            **self._sums,
        )
