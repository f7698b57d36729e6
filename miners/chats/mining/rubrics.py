"""Rubrics: what a judge is told, as files of the project with a version.

A rubric is a Markdown file with a front matter; its body is the system message, the same for every question, so that a
server's prefix cache holds it. Who changes a file raises its version: a test holds the hash of each version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias, get_args

import yaml

from schemas.errors import InputError, RecipeError, nearest

Part: TypeAlias = Literal["history", "query", "reply", "follow_up"]
"""What of a conversation a judge may be shown."""

_FILE = re.compile(r"---\n(?P<front>.*?)\n---\n(?P<body>.*)", re.DOTALL)
_FIELDS = {"name", "version", "paper", "answers", "categories", "neutral", "shows"}
_OPTIONAL = {"answers_since"}
_EXPECTED = f"a front matter with {', '.join(sorted(_FIELDS))}, and the system message below it"


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a judge is asked.

    paper: whose scale it is. answers: what the judge may say; a label is a place among them, from 1. categories: their
    names, in the same order. neutral: the answer that says least; ties go towards it. shows: the parts that the judge
    sees. system: the message before every question. answers_since: the first version that has these answers, in this
    sense; the versions from there on differ in the prompt alone.
    """

    name: str
    version: int
    paper: str
    answers: tuple[str, ...]
    categories: tuple[str, ...]
    neutral: str
    shows: tuple[Part, ...]
    system: str
    answers_since: int = 1

    @property
    def id(self) -> str:
        """Name and version, as answers and verdicts carry it: `wildreward@2`."""
        return f"{self.name}@{self.version}"

    @property
    def alike(self) -> tuple[str, ...]:
        """Name the versions whose labels mean the same as this one's, itself the last."""
        return tuple(f"{self.name}@{version}" for version in range(self.answers_since, self.version + 1))

    @property
    def texts(self) -> tuple[Part, ...]:
        """Give the parts of the turn itself that are shown."""
        return tuple(part for part in self.shows if part != "history")

    @property
    def preference(self) -> tuple[int, ...]:
        """Places of the answers, the neutral one first, then its neighbours: what decides when nothing else does."""
        neutral = self.answers.index(self.neutral)
        return tuple(sorted(range(len(self.answers)), key=lambda place: (abs(place - neutral), place)))


def find_rubric(name: str) -> Rubric:
    """Find a rubric of the project; raises RecipeError where there is none of that name."""
    known = _read_all()
    if name not in known:
        raise RecipeError(f"there is no rubric `{name}`; {nearest(name, known)}")
    return known[name]


def list_rubrics() -> tuple[Rubric, ...]:
    """List the rubrics of the project, by name."""
    return tuple(_read_all().values())


def parse_rubric(text: str, where: str) -> Rubric:
    """Read a rubric's file; raises InputError that says what is wrong with it. where: the file, for messages."""
    match = _FILE.fullmatch(text)
    if match is None:
        raise InputError(where, "it has no front matter", _EXPECTED)
    front = yaml.safe_load(match["front"])
    if not isinstance(front, Mapping) or set(front) - _OPTIONAL != _FIELDS:
        raise InputError(where, "its front matter has other fields", _EXPECTED)
    if not all(isinstance(answer, str) and answer == answer.strip() != "" for answer in front["answers"]):
        raise InputError(where, "an answer is no text", "texts without spaces around them; digits in quotes")
    rubric = Rubric(
        name=str(front["name"]),
        version=int(front["version"]),
        paper=str(front["paper"]),
        answers=tuple(front["answers"]),
        categories=tuple(front["categories"]),
        neutral=front["neutral"],
        shows=tuple(front["shows"]),
        system=match["body"].strip(),
        answers_since=int(front.get("answers_since", 1)),
    )
    _check(rubric, where)
    return rubric


def _check(rubric: Rubric, where: str) -> None:
    """Refuse a rubric whose parts do not fit together."""
    answers = rubric.answers
    if len(set(answers)) != len(answers) or len(answers) != len(rubric.categories):
        raise InputError(where, "answers and categories do not fit", "distinct answers, and a category for each")
    if rubric.neutral not in answers:
        raise InputError(where, f"`neutral` is `{rubric.neutral}`", f"one of {', '.join(answers)}")
    if not set(rubric.shows) <= set(get_args(Part)):
        raise InputError(where, "`shows` names an unknown part", f"some of {', '.join(get_args(Part))}")
    if not 1 <= rubric.answers_since <= rubric.version:
        raise InputError(where, f"`answers_since` is {rubric.answers_since}", f"one of 1 to {rubric.version}")
    if not rubric.system.endswith(ask_for(answers)):
        raise InputError(where, "its last line does not name the answers", f"`{ask_for(answers)}`")


def ask_for(answers: tuple[str, ...]) -> str:
    """Write the line with which every system message ends.

    >>> ask_for(("yes", "no"))
    'Answer with exactly one of: yes, no'
    """
    return f"Answer with exactly one of: {', '.join(answers)}"


@cache
def _read_all() -> dict[str, Rubric]:
    shipped = [file for file in files("miners.chats").joinpath("rubrics").iterdir() if file.name.endswith(".md")]
    found = [parse_rubric(file.read_text(encoding="utf-8"), file.name) for file in shipped]
    return {rubric.name: rubric for rubric in sorted(found, key=lambda rubric: rubric.name)}
