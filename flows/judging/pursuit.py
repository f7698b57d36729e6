"""Pursuit: one question is asked, and again where that may help, until it has an end; the end is a row of ANSWER."""

import asyncio
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson

from flows.judging.dialects import Reading
from flows.judging.endpoints import Endpoint, Endpoints, Lease, Pace
from flows.judging.feed import Outbox
from flows.judging.tries import Kind, Try, find_proxy, send
from miners.chats.mining.questions import draw_seed, judge_fingerprint, sampling
from miners.chats.mining.rubrics import Rubric
from schemas.chat_sections import Judge
from schemas.errors import FatalError
from schemas.judging import State

_AGAIN = {Kind.BUSY: State.ERROR, Kind.FAILED: State.ERROR, Kind.TIMEOUT: State.TIMEOUT}
_ENDS = {Kind.TOO_LONG: State.ERROR, Kind.DECLINED: State.ERROR, Kind.FILTERED: State.REFUSED}


class Speaker:
    """Puts questions to servers in the name of a judge."""

    def __init__(self, judge: Judge, rubric: Rubric, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self.judge, self.rubric, self._session, self._headers = judge, rubric, session, headers
        self._request = {**judge.extra, "model": judge.model, **sampling(judge)}
        self._proxies = {url: find_proxy(url) for url in judge.urls}

    async def post(self, endpoint: Endpoint, own: dict[str, Any]) -> Try:
        """Send a request. own: what of it is not the same for all."""
        url = f"{endpoint.url.rstrip('/')}/chat/completions"
        body, proxy = orjson.dumps(self._request | own), self._proxies[endpoint.url]
        return await send(self._session, url, body, self.judge.timeout, headers=self._headers, proxy=proxy)

    async def ask(self, endpoint: Endpoint, question: dict[str, Any]) -> Try:
        """Ask a question (a row of QUESTION), once."""
        messages = [{"role": "system", "content": self.rubric.system}, {"role": "user", "content": question["text"]}]
        own: dict[str, Any] = {"messages": messages, **endpoint.dialect.constrain(self.rubric.answers)}
        if self.judge.temperature:
            own["seed"] = draw_seed(question["key"])
        return await self.post(endpoint, own)

    def read(self, endpoint: Endpoint, tried: Try) -> tuple[Try, Reading | None]:
        """Read what came of a question; no reading where asking again may help."""
        if tried.kind == Kind.ANSWERED:
            try:
                return tried, endpoint.dialect.read(tried.body, self.rubric.answers)
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                detail = f"the answer is no chat completion ({type(error).__name__}: {error})"
                return Try(Kind.FAILED, detail=detail), None
        return tried, Reading(_ENDS[tried.kind], detail=tried.detail) if tried.kind in _ENDS else None


@dataclass(slots=True)
class _Effort:
    """What was done for one question so far. spent: seconds of tries, and of the pauses between them."""

    key: str
    began: float
    spent: float = 0.0
    tries: int = 0
    failures: int = 0
    pause: float = 0.0

    def add(self, tried: Try, seconds: float, pace: Pace) -> None:
        """Count a try, and choose the pause after it: twice the one before, more or less by a hash of the question."""
        self.tries += 1
        self.failures += tried.kind in {Kind.FAILED, Kind.TIMEOUT}
        jitter = 0.5 + zlib.crc32(f"{self.key} {self.tries}".encode()) / 2**32
        doubled = 2 ** min(self.tries - 1, 32)  # 2**1024 is no float, and a busy server may be tried as often
        self.pause = jitter * min(pace.backoff * doubled, pace.longest)
        self.spent += seconds + self.pause

    def is_over(self, judge: Judge) -> bool:
        """Say whether no try is left. A server that asks for patience costs time, and no try."""
        return self.failures >= judge.tries or self.spent > judge.timeout * judge.tries


class Pursuit:
    """Pursues questions, each to its end."""

    def __init__(self, speaker: Speaker, endpoints: Endpoints, outbox: Outbox) -> None:
        self._speaker, self._endpoints, self._outbox = speaker, endpoints, outbox
        judge, rubric = speaker.judge, speaker.rubric
        self._stamp = {"judge": judge_fingerprint(rubric, judge), "rubric": rubric.id, "model": judge.model}

    async def pursue(self, question: dict[str, Any]) -> None:
        """Ask a question (a row of QUESTION) until it has an end, and hand that on."""
        effort = _Effort(question["key"], _now())
        while True:
            async with self._endpoints.lease() as lease:
                effort.began = effort.began if effort.tries else _now()
                reading = await self._try(lease, question, effort)
                if reading is not None:
                    row = self._write(reading, lease.tried, effort)
                    await self._outbox.put(row)  # before the slot is free: no more is ever lost than is under way
                    return
            await asyncio.sleep(effort.pause)

    async def _try(self, lease: Lease, question: dict[str, Any], effort: _Effort) -> Reading | None:
        """Ask once; raises FatalError where it would be no use to ask anything."""
        begun = _now()
        tried = await self._speaker.ask(lease.endpoint, question)
        lease.tried, reading = self._speaker.read(lease.endpoint, tried)
        self._refuse_fatal(lease.endpoint, lease.tried)
        effort.add(lease.tried, _now() - begun, self._endpoints.pace)
        if reading is None and effort.is_over(self._speaker.judge):
            return Reading(_AGAIN[lease.tried.kind], detail=f"{effort.tries} tries, the last: {lease.tried.detail}")
        return reading

    def _refuse_fatal(self, endpoint: Endpoint, tried: Try) -> None:
        """Stop where a server would refuse every question: one is declined for itself, many in a row are not."""
        if tried.kind == Kind.ANSWERED:
            endpoint.declined = 0
        endpoint.declined += tried.kind == Kind.DECLINED
        if endpoint.declined >= self._endpoints.pace.declined:
            raise FatalError(f"{endpoint.url}: it declined {endpoint.declined} questions in a row: {tried.detail}")
        if tried.kind == Kind.FATAL:
            raise FatalError(f"{endpoint.url}: {tried.detail}; expected {tried.expected}")

    def _write(self, reading: Reading, tried: Try | None, effort: _Effort) -> dict[str, Any]:
        """Write the end of a question as a row of ANSWER."""
        prompt, completion = _count_tokens(tried.body if tried else None)
        return {
            **self._stamp,
            "key": effort.key,
            "state": reading.state,
            "answer": reading.answer,
            "probs": reading.probs,
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "seconds": _now() - effort.began,
            "tries": effort.tries,
            "detail": reading.detail,
            "answered_at": datetime.now(UTC),
        }


def _count_tokens(body: Any) -> tuple[int | None, int | None]:
    """Read how many tokens were paid for: of the prompt, and of the answer; null where the server does not say."""
    usage = body.get("usage") if body else None
    counts = [usage.get(f"{part}_tokens") for part in ("prompt", "completion")] if isinstance(usage, dict) else []
    prompt, completion = (_as_count(value) for value in counts or (None, None))
    return prompt, completion


def _as_count(value: Any) -> int | None:
    """Take a count that ANSWER can hold; what else a server may say (`true`, -1, 2**31) is none."""
    return value if type(value) is int and 0 <= value < 2**31 else None


def _now() -> float:
    return asyncio.get_running_loop().time()
