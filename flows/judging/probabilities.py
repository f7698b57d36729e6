"""Probabilities of a rubric's answers, from the log-probabilities of the tokens that a model chose among.

A model gives its alternatives only along the answer that it took. Where an alternative leads to one answer alone, its
mass is that answer's; where it leads to several, nobody knows how they share it, and no probability is given.
"""

import math
from collections.abc import Sequence
from typing import Any

_UNTOLD = 0.01  # of the mass: as much may be unaccounted for


def read_probabilities(tokens: Any, said: str, answer: str, answers: Sequence[str]) -> list[float] | None:
    """Give the probabilities of all answers, which sum to 1; None where they are not known.

    tokens: `logprobs.content` of OpenAI's chat completions. said: the message; answer: what of it is the answer. What a
    constraint kept the model from saying is left out; an answer that is not among the alternatives shown has 0.
    """
    try:
        return _read(tokens, said.rindex(answer), answers)
    except (KeyError, TypeError, ValueError, OverflowError):  # a server's own idea of the format
        return None


def _read(tokens: Any, start: int, answers: Sequence[str]) -> list[float] | None:
    """Walk along the tokens of the answer, which begins at `start` of what was said."""
    masses, untold, taken, path, at = [0.0] * len(answers), 0.0, "", 1.0, 0
    for token in tokens:
        behind = at + len(token["token"])
        before, at = max(0, start - at), behind
        if behind <= start:
            continue
        text = token["token"][before:]
        follows = 0.0
        for other, mass in _alternatives(token, token["token"][:before]).items():
            led = _find(taken + other, answers)
            if len(led) == 1:
                masses[led[0]] += path * mass
            elif led and other == text:
                follows = path * mass
            elif led:
                untold += path * mass
        taken, path = taken + text, follows
        if path == 0:
            break
    total = sum(masses)
    known = 0 < total < math.inf and untold + path <= _UNTOLD * total
    return [mass / total for mass in masses] if known else None


def _alternatives(token: Any, before: str) -> dict[str, float]:
    """Give the texts that could have stood here, with their probabilities; what is blank says nothing.

    before: what of the token stands before the answer, such as a quote; alternatives without it are no answers.
    """
    found: dict[str, float] = {}
    listed = {entry["token"]: entry["logprob"] for entry in [*(token.get("top_logprobs") or []), token]}
    for text, logprob in listed.items():
        rest = text[len(before) :] if text.startswith(before) else ""
        if rest.strip():
            found[rest.lstrip()] = found.get(rest.lstrip(), 0.0) + math.exp(logprob)
    return found


def _find(text: str, answers: Sequence[str]) -> list[int]:
    """Find the answers that a text is the beginning of, or that it says with something behind that is no letter."""
    return [
        place
        for place, answer in enumerate(answers)
        if answer.startswith(text) or (text.startswith(answer) and not text[len(answer)].isalnum())
    ]
