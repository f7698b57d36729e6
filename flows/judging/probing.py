"""Probing: how a server wants to be asked, found out by a question whose natural answer is none of those allowed.

A server that answers it with an allowed one does keep to them. One that answers "Paris" ignored the constraint, or
does not know it, and is asked in the next way; where all fail it is no judge.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from flows.judging.dialects import DIALECTS, Constraint, Dialect
from flows.judging.tries import Kind, Try
from miners.chats.mining.rubrics import ask_for
from schemas.errors import FatalError
from schemas.judging import State

LABELS = ("qzxv", "wvjk")  # nobody would say them
_QUESTION = "What is the capital of France?"
Post: TypeAlias = Callable[[dict[str, Any]], Awaitable[Try]]
"""Sends the part of a request that is this question's own."""


async def find_dialect(url: str, post: Post) -> Dialect | str:
    """Find the best way in which the server at `url` keeps to the answers, or say why it cannot be found now.

    Raises FatalError, with the server's words, where it keeps to them in no way, or takes no request at all.
    """
    heard = []
    for dialect in DIALECTS:
        tried = await post(_ask(dialect))
        if tried.kind in {Kind.BUSY, Kind.FAILED, Kind.TIMEOUT}:
            return tried.detail
        if tried.kind == Kind.FATAL:
            raise FatalError(f"{url}: {tried.detail}; expected {tried.expected}")
        problem = _find_problem(dialect, tried)
        if problem is None:
            return dialect
        heard.append(f"{dialect.constraint}: {problem}")
    raise FatalError(
        f"{url}: it does not keep to the answers that a rubric allows, however it is asked "
        f"({'; '.join(dict.fromkeys(heard))}); expected vLLM 0.12 or later, or a server that knows `response_format`"
    )


def _ask(dialect: Dialect) -> dict[str, Any]:
    system = ask_for(LABELS) if dialect.constraint == Constraint.WORDS else "Answer in one word."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": _QUESTION}]
    return {"messages": messages, **dialect.constrain(LABELS)}


def _find_problem(dialect: Dialect, tried: Try) -> str | None:
    if tried.kind != Kind.ANSWERED:
        return tried.detail
    try:
        reading = dialect.read(tried.body, LABELS)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        return f"no chat completion ({type(error).__name__}: {error})"
    return None if reading.state == State.OK else reading.detail
