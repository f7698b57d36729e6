"""Endpoints: the servers that share the questions, how many requests each may have, and which of them are gone.

A server that asks for patience gets fewer requests at once, and slowly more again (additive increase, multiplicative
decrease, as TCP does). One that fails again and again is left alone and knocked at until it answers.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flows.judging.dialects import DIALECTS, Dialect
from flows.judging.tries import Kind, Try
from schemas.errors import TransientError

_SHRINK, _STEPS = 0.7, 32  # what is left of the limit; answered rounds in which it grows from nothing to the whole
_REVIVED = 4  # a server that is back begins with this part of the limit
Knock: TypeAlias = Callable[["Endpoint"], Awaitable[str | None]]
"""Finds out whether a server answers: None, or what was wrong."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of the client, in seconds; tests hurry it.

    backoff: before a further try, doubled each time up to `longest`, with a jitter. failures: in a row, after which a
    server is left alone. knock: between knocks, doubled up to `longest`. patience: how long no server may answer.
    declined: questions in a row that a server may decline before that is taken to be meant for all. flush: for which
    answers are gathered before the sink has them.
    """

    backoff: float = 1.0
    longest: float = 30.0
    failures: int = 16
    knock: float = 1.0
    patience: float = 300.0
    declined: int = 20
    flush: float = 0.001


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server. limit: requests that it may have at once. dialect: how it wants to be asked."""

    url: str
    limit: float
    dialect: Dialect = DIALECTS[0]
    is_up: bool = False
    in_flight: int = 0
    failures: int = 0  # in a row
    declined: int = 0  # in a row
    resumes_at: float = 0.0
    changed_at: float = 0.0  # when the limit shrank, or the server came back: what began before tells nothing new


@dataclass(slots=True)
class Lease:
    """The right to one request. tried: what came of it, to be set by who has it."""

    endpoint: Endpoint
    tried: Try | None = None


@dataclass(eq=False)
class Endpoints:
    """All servers. most: requests under way at once, of all together. spawn: starts a task of the client's.

    say: hears, once a time that no server answers, that they are waited for.
    """

    urls: Sequence[str]
    most: int
    pace: Pace
    knock: Knock
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    all: list[Endpoint] = field(init=False)
    say: Callable[[str], None] = lambda _: None
    in_flight: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _knocking: set[asyncio.Task[None]] = field(default_factory=set)
    _down_since: float = 0.0
    _is_told: bool = False

    def open(self) -> None:
        """Knock at every server: none has a request before it answered."""
        self.all = [Endpoint(url, self.most) for url in self.urls]
        self._down_since = _now()
        for endpoint in self.all:
            self._start_knocking(endpoint, 0.0)

    def close(self) -> None:
        """Stop knocking."""
        for task in self._knocking:
            task.cancel()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return min(self.most, sum(int(endpoint.limit) for endpoint in self.all if endpoint.is_up))

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Wait for the server with the fewest requests to have room for one more."""
        while (endpoint := self._choose()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        endpoint.in_flight += 1
        self.in_flight += 1
        lease, began = Lease(endpoint), _now()
        try:
            yield lease
        finally:
            endpoint.in_flight -= 1
            self.in_flight -= 1
            if lease.tried is not None:
                self._learn(endpoint, lease.tried, began)
            self._wake()

    def _choose(self) -> Endpoint | None:
        now = _now()
        free = (endpoint for endpoint in self.all if endpoint.is_up and endpoint.resumes_at <= now)
        having_room = [endpoint for endpoint in free if endpoint.in_flight < int(endpoint.limit)]
        if self.in_flight >= self.most or not having_room:
            return None
        return min(having_room, key=lambda endpoint: endpoint.in_flight)

    def _wake(self) -> None:
        """Let as many go on as there is room for; who finds none waits again."""
        room = self.limit - self.in_flight
        while self._waiting and room > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    def _learn(self, endpoint: Endpoint, tried: Try, began: float) -> None:
        """Take from the end of a request how the server fares."""
        if tried.kind not in {Kind.BUSY, Kind.FAILED, Kind.TIMEOUT}:
            endpoint.failures = 0
            endpoint.limit = min(self.most, endpoint.limit + self.most / _STEPS / endpoint.limit)
            return
        if tried.wait:
            endpoint.resumes_at = max(endpoint.resumes_at, _now() + tried.wait)
            asyncio.get_running_loop().call_later(tried.wait + 0.001, self._wake)
        if began < endpoint.changed_at:
            return
        if tried.kind in {Kind.BUSY, Kind.TIMEOUT}:
            endpoint.limit, endpoint.changed_at = max(1.0, endpoint.limit * _SHRINK), _now()
        if tried.kind != Kind.BUSY:
            endpoint.failures += 1
            if endpoint.is_up and (tried.gone or endpoint.failures >= self.pace.failures):
                self._take_out(endpoint)

    def _take_out(self, endpoint: Endpoint) -> None:
        endpoint.is_up = False
        if not any(other.is_up for other in self.all):
            self._down_since = _now()
        self._start_knocking(endpoint, self.pace.knock)

    def _start_knocking(self, endpoint: Endpoint, wait: float) -> None:
        task = self.spawn(self._knock_until_up(endpoint, wait))
        self._knocking.add(task)
        task.add_done_callback(self._knocking.discard)

    async def _knock_until_up(self, endpoint: Endpoint, wait: float) -> None:
        """Knock, ever more rarely; raises TransientError when no server has answered for too long."""
        while True:
            await asyncio.sleep(wait)
            problem = await self.knock(endpoint)
            if problem is None:
                break
            down = 0.0 if any(other.is_up for other in self.all) else _now() - self._down_since
            if down >= self.pace.patience:
                gone = f"{', '.join(self.urls)}: no answer for {down:.0f} s"
                raise TransientError(f"{gone}, the last: {problem}; what was answered is kept")
            self._tell_waiting(problem)
            wait = min(max(wait * 2, self.pace.knock), self.pace.longest)
        if endpoint.changed_at:
            endpoint.limit = max(1.0, endpoint.limit / _REVIVED)
        endpoint.is_up, endpoint.failures, endpoint.changed_at = True, 0, _now()
        self._is_told = False
        self._wake()

    def _tell_waiting(self, problem: str) -> None:
        """Say that all servers are waited for: a build that stands still says why."""
        if not self._is_told and not any(endpoint.is_up for endpoint in self.all):
            self._is_told = True
            self.say(f"{', '.join(self.urls)}: no answer ({problem}); waiting for {self.pace.patience:.0f} s at most")


def _now() -> float:
    return asyncio.get_running_loop().time()
