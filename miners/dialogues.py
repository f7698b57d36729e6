"""Dialogues: invented chats with follow-ups of all five kinds, of which samples are made.

What a follow-up says of the reply before it is known, for it was chosen first. All is put together by hashes of a
dialogue's number. Lines of replies draw from lists of words, so that no two dialogues are nearly the same; every 40th
is a copy, by another user, of the one before it.
"""

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from miners.phrases import FOLLOW_UPS, PHRASES, REQUESTS, Phrases


class FollowUp(StrEnum):
    """What a user's message says of the reply before it: WildReward's five levels, from 1 to 5."""

    REJECTION = "rejection"
    CORRECTION = "correction"
    NEUTRAL = "neutral"
    POSITIVE = "positive"
    SATISFIED = "satisfied"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; role is system, user or assistant."""

    role: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One chat, with what is known of it.

    number: of the dialogue. key: 32 hex digits, unique. content_hash: the same for copies.
    user: 64 hex digits, as WildChat's `hashed_ip`. accepts: the languages of the user's browser.
    follow_ups: of the replies that a user's message follows, in order, what it says of them.
    """

    number: int
    key: str
    content_hash: str
    user: str
    accepts: str
    country: str
    model: str
    language: str
    language_name: str
    toxic: bool
    redacted: bool
    messages: tuple[Message, ...]
    follow_ups: tuple[FollowUp, ...]


Item = TypeVar("Item")

_START = datetime(2023, 4, 9, tzinfo=UTC)
_COPY_EVERY = 40
_SYSTEM_EVERY, _TOXIC_EVERY, _REDACTED_EVERY = 23, 61, 53
_MODELS = ("gpt-3.5-turbo-0301", "gpt-4-0314", "gpt-4o-2024-05-13", "o1-preview-2024-09-12")
_SYSTEM = "You are a patient assistant. Answer in the language of the user, and say so where you are not sure."
_SHARES: Mapping[FollowUp, int] = {  # of 100; feedback is commoner here than among people (WildReward, figure 2)
    FollowUp.REJECTION: 8,
    FollowUp.CORRECTION: 17,
    FollowUp.NEUTRAL: 50,
    FollowUp.POSITIVE: 15,
    FollowUp.SATISFIED: 10,
}
_KINDS = tuple(kind for kind, share in _SHARES.items() for _ in range(share))


def write_dialogues(count: int) -> Iterator[Dialogue]:
    """Write the dialogues 0 to count - 1."""
    return map(write_dialogue, range(count))


def write_dialogue(number: int) -> Dialogue:
    """Write one dialogue of two to seven replies."""
    told = number - 1 if number % _COPY_EVERY == _COPY_EVERY - 1 else number
    phrases = _choose(PHRASES, told, "language") if told % 3 == 0 else PHRASES[0]
    follow_ups = tuple(_choose(_KINDS, told, f"kind {turn}") for turn in range(1 + _draw(told, "turns") % 6))
    said = tuple(_say(told, phrases, follow_ups))
    begin = _START + timedelta(minutes=37 * number)
    messages = tuple(
        Message(role, text, begin + timedelta(seconds=40 * place)) for place, (role, text) in enumerate(said)
    )
    person = _draw(number, "user") % max(number // 3, 7)
    return Dialogue(
        number=number,
        key=_hash(f"dialogue {number}")[:32],
        content_hash=_hash(repr(said))[:32],
        user=_hash(f"user {person}"),
        accepts=f"{phrases.language},en;q=0.5",
        country=phrases.country,
        model=_choose(_MODELS, number, "model"),
        language=phrases.language,
        language_name=phrases.name,
        toxic=number % _TOXIC_EVERY == _TOXIC_EVERY - 1,
        redacted=number % _REDACTED_EVERY == _REDACTED_EVERY - 1,
        messages=messages,
        follow_ups=follow_ups,
    )


def _say(number: int, phrases: Phrases, follow_ups: Sequence[FollowUp]) -> Iterator[tuple[str, str]]:
    """Write the messages in turn."""
    if number % _SYSTEM_EVERY == _SYSTEM_EVERY - 1:
        yield "system", _SYSTEM
    topic = _draw(number, "topic")
    yield "user", _fill(_choose(phrases.questions, number, "question"), phrases, number, topic)
    for turn, kind in enumerate(follow_ups):
        yield "assistant", _reply(number, phrases, turn, topic)
        told = _choose(phrases.follow_ups[FOLLOW_UPS.index(kind)], number, f"follow-up {turn}")
        wish = _choose(phrases.requests, number, f"request {turn}") if kind.value in REQUESTS else ""
        yield "user", _fill(f"{told} {wish}".strip(), phrases, number + 7 * turn, topic)
    yield "assistant", _reply(number, phrases, len(follow_ups), topic)


def _reply(number: int, phrases: Phrases, turn: int, topic: int) -> str:
    lines = [_fill(_choose(phrases.openings, number, f"opening {turn}"), phrases, number, topic)]
    for line in range(4 + _draw(number, f"lines {turn}") % 5):
        own = _draw(number, f"line {turn} {line}")
        lines.append(f"{line + 1}. " + _fill(phrases.lines[own % len(phrases.lines)], phrases, own // 64, topic))
    return "\n".join(lines)


def _fill(text: str, phrases: Phrases, own: int, topic: int) -> str:
    """Fill in: {topic} is the same throughout a dialogue, all else differs."""
    return text.format(
        topic=phrases.topics[topic % len(phrases.topics)],
        a=_choose(phrases.things, own, "a"),
        b=_choose(phrases.things, own, "b"),
        c=_choose(phrases.places, own, "c"),
        n=own % 89 + 2,
        m=own // 89 % 59 + 3,
    )


def _choose(items: Sequence[Item], number: int, why: str) -> Item:
    return items[_draw(number, why) % len(items)]


def _draw(number: int, why: str) -> int:
    return zlib.crc32(f"{number} {why}".encode())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
