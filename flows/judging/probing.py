"""Probing: how a server wants to be asked, found out by a question whose natural answer is none of those allowed.

A server that answers it with an allowed one does keep to them. One that answers "Paris" ignored the constraint, or
does not know it, and is asked in the next way; where all fail it is no judge.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from flows.judging.dialects import CUT_OFF, DIALECTS, Constraint, Dialect, Reading
from flows.judging.tries import Kind, Try
from miners.chats.mining.rubrics import ask_for
from schemas.errors import FatalError
from schemas.judging import State

LABELS = ("qzxv", "wvjk")  # nobody would say them
_QUESTION = "What is the capital of France?"
_REASONING = (
    "`judge.max_tokens` in the thousands where the model reasons before it answers, or less reasoning by `judge.extra` "
    "(such as `reasoning_effort: low`); for other models "
)
Post: TypeAlias = Callable[[dict[str, Any]], Awaitable[Try]]
"""Sends the part of a request that is this question's own."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a server wants to be asked. has_probs: whether its log-probabilities could be read."""

    dialect: Dialect
    has_probs: bool

    def describe(self) -> str:
        """Say what keeps it to the answers, and whether probabilities come with them; a warning where either lacks."""
        is_free = self.dialect.constraint == Constraint.WORDS
        by = (
            "nothing but words keeps it to the rubric's answers, so that more may be unparseable"
            if is_free
            else f"`{self.dialect.constraint}` keeps it to the rubric's answers"
        )
        probs = "log-probabilities found" if self.has_probs else "no log-probabilities found, so that labels have none"
        return f"{'warning: ' if is_free or not self.has_probs else ''}{by}; {probs}"


async def find_dialect(url: str, post: Post) -> Found | str:
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
        reading = _read(dialect, tried)
        if reading.state == State.OK:
            return Found(dialect, has_probs=reading.probs is not None)
        heard.append(f"{dialect.constraint}: {reading.detail}")
    told = "; ".join(dict.fromkeys(heard))
    raise FatalError(
        f"{url}: it does not keep to the answers that a rubric allows, however it is asked ({told}); expected "
        f"{_REASONING if CUT_OFF in told else ''}vLLM 0.12 or later, or a server that knows `response_format`"
    )


def _ask(dialect: Dialect) -> dict[str, Any]:
    system = ask_for(LABELS) if dialect.constraint == Constraint.WORDS else "Answer in one word."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": _QUESTION}]
    return {"messages": messages, **dialect.constrain(LABELS)}


def _read(dialect: Dialect, tried: Try) -> Reading:
    if tried.kind != Kind.ANSWERED:
        return Reading(State.ERROR, detail=tried.detail)
    try:
        return dialect.read(tried.body, LABELS)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        return Reading(State.ERROR, detail=f"no chat completion ({type(error).__name__}: {error})")
