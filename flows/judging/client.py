"""The client: asks any OpenAI-compatible servers many questions at once, and gives every question one end.

Questions are taken from the iterator as there is room for them, so that a million need no more memory than a thousand.
An answer is handed on before its slot is free again. No failure becomes a label: it is a state, and keeps its words.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pyarrow as pa

from flows.judging.answering import Answerer
from flows.judging.endpoints import Endpoint, Endpoints, Pace
from flows.judging.feed import Feed, Outbox
from flows.judging.probing import find_dialect
from flows.judging.pursuit import Pursuit, Speaker
from miners.chats.mining.rubrics import Rubric
from schemas.chat_sections import Judge
from schemas.errors import RecipeError

__all__ = ["Answerer", "Client", "Pace"]

_WORKERS = 2  # for each request under way: one that waits before a further try holds nobody up
_IDLE = 4.0  # seconds after which an unused connection is closed: many servers do it after 5


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the servers of `judge.urls`; an Answerer.

    say: hears how each server keeps to the answers, and when none answers.
    """

    judge: Judge
    rubric: Rubric
    pace: Pace = field(default_factory=Pace)
    say: Callable[[str], None] = lambda _: None

    def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        """Ask the questions (QUESTION) and hand the answers (ANSWER) to `sink` as they come, from this thread.

        Raises RecipeError where the key is not there or an address is none, FatalError where a server refuses to work
        or does not keep to the rubric's answers, TransientError where no server answers for `pace.patience` seconds.
        The sink has by then all answers that had come.
        """
        asyncio.run(self._answer(questions, sink))

    async def _answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        headers = _write_headers(self.judge)
        session = _open_session()
        feed, outbox = Feed(questions), Outbox(sink, self.pace.flush)
        try:
            async with session, asyncio.TaskGroup() as group:
                await self._work(Speaker(self.judge, self.rubric, session, headers), feed, outbox, group)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the first one stopped the others
        finally:
            feed.close()
            outbox.flush()

    async def _work(self, speaker: Speaker, feed: Feed, outbox: Outbox, group: asyncio.TaskGroup) -> None:
        """Ask until there is nothing left to ask."""
        told = set()

        async def knock(endpoint: Endpoint) -> str | None:
            found = await find_dialect(endpoint.url, lambda own: speaker.post(endpoint, own))
            if isinstance(found, str):
                return found
            endpoint.dialect = found.dialect
            if (words := f"{endpoint.url}: {found.describe()}") not in told:  # it may have been gone, and be the same
                told.add(words)
                self.say(words)
            return None

        endpoints = Endpoints(self.judge.urls, self.judge.in_flight, self.pace, knock, group.create_task, self.say)
        endpoints.open()
        pursuit = Pursuit(speaker, endpoints, outbox)
        emptying = group.create_task(outbox.run())
        workers = [group.create_task(_pursue_all(feed, pursuit)) for _ in range(self.judge.in_flight * _WORKERS)]
        await asyncio.wait(workers)
        emptying.cancel()
        endpoints.close()


async def _pursue_all(feed: Feed, pursuit: Pursuit) -> None:
    while (question := await feed.take()) is not None:
        await pursuit.pursue(question)


def _write_headers(judge: Judge) -> dict[str, str]:
    """Write what stands above every request, the key among it; raises RecipeError where that or an address is none."""
    for url in judge.urls:
        _check(url)
    headers = {"Content-Type": "application/json"}
    if judge.api_key is not None:
        if not os.environ.get(judge.api_key):
            raise RecipeError(f"`judge.api_key`: the environment variable `{judge.api_key}` is not set")
        headers["Authorization"] = f"Bearer {os.environ[judge.api_key]}"
    return headers


def _open_session() -> aiohttp.ClientSession:
    """Open what holds the connections. It has no headers of its own: a proxy would be told the key among them."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # it would read ~/.netrc too, and send a password from there
    )


def _check(url: str) -> None:
    """Refuse what is no address, or holds a password: RecipeError."""
    expected = "expected http://HOST:PORT/v1"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RecipeError(f"`judge.urls`: {error}; {expected}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise RecipeError(f"`judge.urls`: one is no plain web address; {expected}, and a key by `judge.api_key`")
