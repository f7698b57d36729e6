"""Names of tags, attributes and entities as whole numbers, for the compiled reader."""

from html.entities import html5

import numpy as np
import numpy.typing as npt

from miners.text.compiled.layout import EMPHASIS, STRONG, STRUCK, SUBSCRIPT, SUPERSCRIPT, Counts
from miners.text.tags import CHILDREN

_TAGS: tuple[str, ...] = (
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre",
    "code",
    "kbd",
    "a",
)
_TAGS += ("em", "i", "strong", "b", "s", "del", "strike", "sup", "sub", "br", "hr", "img")
(P, H1, _, _, _, _, H6, UL, OL, LI, BLOCKQUOTE, PRE, CODE, KBD, A) = range(1, 16)
(EM, ITALIC, STRONG_TAG, B, S, DEL, STRIKE, SUP, SUB, BR, HR, IMG) = range(16, 28)
NO_TAG = 0
"""Stands for the body itself, too."""

LONGEST = 10
"""Letters of the longest name, `blockquote`; a key of so many fits into 63 bits."""
KEY_BASE = 37
"""A key is a name read as a number: `a` to `z` are the digits 1 to 26, `0` to `9` are 27 to 36."""


def key(name: str) -> int:
    """Read a name of small letters and digits as a number.

    >>> key("b1")
    102
    """
    number = 0
    for letter in name:
        number = number * KEY_BASE + (ord(letter) - ord("a") + 1 if letter.isalpha() else ord(letter) - ord("0") + 27)
    return number


def _table(numbers: dict[str, int]) -> Counts:
    """Return (2, names): keys in order, and what each stands for."""
    return np.array(sorted((key(name), number) for name, number in numbers.items()), np.int64).T.copy()


def _children() -> npt.NDArray[np.bool_]:
    """Write `CHILDREN` over the numbers of tags: [parent, child]."""
    table = np.zeros((len(_TAGS) + 1, len(_TAGS) + 1), np.bool_)
    for parent, names in CHILDREN.items():
        for name in names:
            table[_TAGS.index(parent) + 1 if parent else NO_TAG, _TAGS.index(name) + 1] = True
    return table


TAGS = _table({name: number for number, name in enumerate(_TAGS, 1)})
ALLOWED = _children()
ENTITIES = _table(
    {
        name[:-1]: ord(char)
        for name, char in html5.items()
        if name[-1] == ";" and len(name) in range(3, 8) and name[:-1].isalpha() and name.islower() and len(char) == 1
    }
)
"""What `markdown.tidy_tokens` takes: two to six small letters. Those for two characters are refused."""

MARKS = np.full(len(_TAGS) + 1, -1, np.int64)
"""The kind of mark that a tag makes; -1 for none."""
for _tag, _mark in (
    (EM, EMPHASIS),
    (ITALIC, EMPHASIS),
    (STRONG_TAG, STRONG),
    (B, STRONG),
    (S, STRUCK),
    (DEL, STRUCK),
    (STRIKE, STRUCK),
    (SUP, SUPERSCRIPT),
    (SUB, SUBSCRIPT),
):
    MARKS[_tag] = _mark

ALT, CLASS, HREF, SRC, START = map(key, ("alt", "class", "href", "src", "start"))
