"""Dialects: how a server is made to keep to the answers of a rubric, and how its reply is read.

Servers differ, and some ignore silently what they do not know (vLLM since 0.12 does so with its old `guided_choice`);
which one a server speaks is found out by asking (`flows.judging.probing`). A reply is read strictly: what is not an
answer to the letter is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from flows.judging.probabilities import read_probabilities
from schemas.judging import State

CUT_OFF = "cut off by max_tokens"
"""How the detail of a reply begins that did not come to its end."""

_TOP_LOGPROBS = 20  # the most that OpenAI and vLLM give by default
_SHOWN_CHARS = 200
_REASONED = ("reasoning", "reasoning_content")  # vLLM's names, the newer one first; others have taken them over


class Constraint(StrEnum):
    """What keeps an answer to the rubric's, from the surest on."""

    CHOICE = "structured_outputs"  # vLLM's, since 0.12
    SCHEMA = "response_format"  # OpenAI's
    WORDS = "words"  # nothing but the request


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says. answer and probs: null unless the state is ok."""

    state: State
    answer: str | None = None
    probs: list[float] | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way to ask. logprobs: whether alternatives are asked for."""

    constraint: Constraint
    logprobs: bool = True

    def constrain(self, answers: Sequence[str]) -> dict[str, Any]:
        """Write what of a request keeps its answer to `answers`."""
        asked: dict[str, Any] = {"logprobs": True, "top_logprobs": _TOP_LOGPROBS} if self.logprobs else {}
        if self.constraint == Constraint.CHOICE:
            return asked | {"structured_outputs": {"choice": list(answers)}}
        if self.constraint == Constraint.SCHEMA:
            return asked | {"response_format": _write_schema(answers)}
        return asked

    def read(self, body: Any, answers: Sequence[str]) -> Reading:
        """Read the body of a reply; raises KeyError, TypeError, IndexError or AttributeError where it is none."""
        choice = body["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        said = message.get("content")
        if message.get("refusal"):
            return Reading(State.REFUSED, detail=_show(message["refusal"]))
        if finish == "content_filter":
            return Reading(State.REFUSED, detail="finish_reason: content_filter")
        if finish == "length":
            return Reading(State.UNPARSEABLE, detail=f"{CUT_OFF}: {_show(said)}")
        answer = self._find(said)
        if answer is None or answer not in answers:
            return Reading(State.UNPARSEABLE, detail=f"none of the answers: {_show(said)}")
        has_reasoned = any(message.get(name) for name in _REASONED)  # the tokens are then of the reasoning too
        tokens = None if has_reasoned else (choice.get("logprobs") or {}).get("content")
        probs = read_probabilities(tokens, str(said), answer, answers) if tokens else None
        return Reading(State.OK, answer, probs)

    def _find(self, said: Any) -> str | None:
        if not isinstance(said, str):
            return None
        if self.constraint != Constraint.SCHEMA:
            return said.strip()
        try:
            found = orjson.loads(said)
        except orjson.JSONDecodeError:
            return None
        answer = found.get("answer") if isinstance(found, dict) and len(found) == 1 else None
        return answer if isinstance(answer, str) else None


DIALECTS = tuple(Dialect(constraint, logprobs) for constraint in Constraint for logprobs in (True, False))
"""All dialects, the best first."""


def _write_schema(answers: Sequence[str]) -> dict[str, Any]:
    answer = {"type": "string", "enum": list(answers)}
    schema = {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _show(said: Any) -> str:
    """Quote what a model said, shortened and without characters that could play with a terminal."""
    if said is None:
        return "nothing"
    text = "".join(letter if letter.isprintable() else " " for letter in str(said)[: 2 * _SHOWN_CHARS])
    return f"`{text[:_SHOWN_CHARS]}`"
