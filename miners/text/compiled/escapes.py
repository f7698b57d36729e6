"""Which bytes of a line Markdown would read as markup, for the compiled writer."""

from numba.extending import register_jitable

from miners.text.compiled.layout import (
    Bytes,
    flags,
    space_at,
    space_before,
)
from miners.text.compiled.pen import Pen

UNKNOWN, NONE = -1, -1
"""Answers: not known, so refuse the body; no place."""

_SPACE, _HASH, _AMPERSAND, _PARENTHESIS, _CLOSING_PARENTHESIS, _STAR = map(ord, " #&()*")
_PLUS, _HYPHEN, _DOT, _ZERO, _NINE, _COLON, _SEMICOLON, _LESS = map(ord, "+-.09:;<")
_EQUALS, _GREATER, _BRACKET, _BACKSLASH, _CLOSING_BRACKET, _UNDERSCORE = map(ord, "=>[\\]_")
_TICK, _TILDE = map(ord, "`~")
_BEYOND_ASCII = 0x80


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IS_ALNUM = flags(_LETTERS + "0123456789")
_IS_TAG_START = flags(_LETTERS + "/!?")
_IS_ESCAPABLE = flags("!\"#%&'()*+,-./:;<=>?@[\\]^_`{|}~")  # punctuation without the dollar


@register_jitable
def start_escape(line: Bytes, length: int, pen: Pen) -> int:  # noqa: C901
    """Return where a backslash keeps the line from being a heading, list, rule or definition; `NONE` for nowhere.

    As `inline._escape_start`. A number that letters beyond ASCII, perhaps digits, go on refuses the body.
    """
    first = line[0]
    same = 1
    while same < length and line[same] == first:
        same += 1
    if first == _HASH:
        return 0 if same <= 6 and _ends_word(line, same, length) else NONE  # noqa: PLR2004
    if first in (_HYPHEN, _PLUS, _STAR):
        return 0 if _ends_word(line, 1, length) or (first == _HYPHEN and same == length) else NONE
    if first == _GREATER or (first == _EQUALS and same == length):
        return 0
    if first == _BRACKET:
        for at in range(1, length - 1):
            if line[at] == _CLOSING_BRACKET and line[at + 1] == _COLON:
                return 0
    if not _ZERO <= first <= _NINE:
        return NONE
    at = 1
    while at < length and at <= 9 and _ZERO <= line[at] <= _NINE:  # noqa: PLR2004
        at += 1
    if at < length and line[at] >= _BEYOND_ASCII and line[at] not in (0xC2, 0xC3, 0xE2):
        pen.refused = 1
    is_number = at <= 9 and at < length and line[at] in (_DOT, _CLOSING_PARENTHESIS)  # noqa: PLR2004
    return at if is_number and _ends_word(line, at + 1, length) else NONE


@register_jitable
def _ends_word(line: Bytes, at: int, length: int) -> bool:
    return at == length or line[at] == _SPACE


@register_jitable
def must_escape(text: Bytes, start: int, at: int, end: int, in_link: int) -> int:  # noqa: PLR0911
    """Tell whether CommonMark would read the byte as markup here, as `inline._ESCAPED` does, or UNKNOWN."""
    byte = text[at]
    following = text[at + 1] if at + 1 < end else _SPACE  # at the end as before a blank
    if byte == _TICK or (in_link and byte in (_BRACKET, _CLOSING_BRACKET)):
        return 1
    if byte == _BACKSLASH:
        return int(_IS_ESCAPABLE[following])
    if byte == _LESS:
        return int(_IS_TAG_START[following])
    if byte == _TILDE:
        return following == _TILDE
    if byte == _CLOSING_BRACKET:
        return following == _PARENTHESIS
    if byte == _AMPERSAND:
        return _begins_entity(text, at + 1, end)
    if byte == _BRACKET:
        return 0
    after = at + 1 < end and not space_at(text, at + 1, end)
    before = at > start and not space_before(text, start, at)
    if byte == _STAR:
        return before or after
    return _touches_word(text, start, at, end, before, after)


@register_jitable
def _touches_word(text: Bytes, start: int, at: int, end: int, before: bool, after: bool) -> int:  # noqa: FBT001
    """Tell whether an underscore could open or close emphasis: beside a word, but not inside one."""
    left = _is_letter(text, _lead(text, start, at - 1), end) if before else 0
    right = _is_letter(text, at + 1, end) if after else 0
    if UNKNOWN in (left, right):
        return UNKNOWN
    return (after and not left) or (before and not right)


@register_jitable
def _lead(text: Bytes, start: int, at: int) -> int:
    """Return where the character begins of which the byte at `at` is one."""
    while at > start and text[at] & 0xC0 == _BEYOND_ASCII:
        at -= 1
    return at


@register_jitable
def _is_letter(text: Bytes, at: int, end: int) -> int:
    """Tell a letter or digit; beyond ASCII only no-break spaces, dashes, quotes and the like are known not to be."""
    if text[at] < _BEYOND_ASCII:
        return int(_IS_ALNUM[text[at]])
    second = text[at + 1] if at + 1 < end else 0
    return 0 if (text[at] == 0xE2 and second == 0x80) or (text[at] == 0xC2 and second == 0xA0) else UNKNOWN  # noqa: PLR2004


@register_jitable
def _begins_entity(text: Bytes, at: int, end: int) -> int:
    r"""Tell `\\#?\\w+;`."""
    if at < end and text[at] == _HASH:
        at += 1
    first = at
    while at < end:
        if text[at] != _UNDERSCORE:
            letter = _is_letter(text, at, end)
            if letter == UNKNOWN:
                return UNKNOWN
            if not letter:
                break
        at += 1
    return first < at < end and text[at] == _SEMICOLON
