r"""Formulas in the runs of text: the second compiled step, `formulas.find_plain_formulas` over bytes.

A body is refused where this file does not know what that function answers: a `\begin{` outside of other delimiters,
a span that might be a tag, an autolink or a link, and what looks like money with letters beyond ASCII in it.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from miners.text.compiled.layout import OBJECT, RUN, Bytes, Page, Records, flags, record, space_at, space_before

_TAB, _NEWLINE, _SPACE, _BANG, _DOLLAR, _AMPERSAND, _PARENTHESIS = map(ord, "\t\n !$&(")
_CLOSING_PARENTHESIS, _SLASH, _ZERO, _NINE, _COLON, _LESS, _EQUALS = map(ord, ")/09:<=")
_GREATER, _QUESTION, _AT, _BRACKET, _BACKSLASH, _CLOSING_BRACKET = map(ord, ">?@[\\]")
_UNDERSCORE, _TICK, _BRACE, _CLOSING_BRACE, _TILDE = map(ord, "_`{}~")
_BEYOND_ASCII = 0x80

_DISPLAY, _INLINE = _DOLLAR, -_DOLLAR
"""What a formula was opened with; the others are `_PARENTHESIS` and `_BRACKET`."""


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IS_LETTER = flags(_LETTERS)
_IS_WORD = flags(_LETTERS + "0123456789_")
_IS_TAG = flags(_LETTERS + "0123456789-")
_IS_MARK = flags("\\^={}|<>")  # `formulas._MARK`
_IS_ATOM = flags(_LETTERS + "0123456789.!#$%&'*+/=?^_{|}~-")  # of an autolink, in `formulas._UNSAFE`
_BEGIN = np.frombuffer(b"\\begin{", np.uint8)
_BOXES = np.frombuffer(b"textmboxhbox", np.uint8)
_BOX = 4


class Search:
    """Record of a search: spans written so far, and whether the run must be refused."""

    found: int
    refused: int


_SEARCH = record(Search)


@njit(cache=True, nogil=True)
def find(page: Page, spans: Records) -> None:
    """Write the formulas of all runs to `spans`, and where those of each lie to its block."""
    search = np.zeros(1, _SEARCH)[0]
    block = 0
    for row in range(len(page.block_ends)):
        search.refused = 0
        while block < page.block_ends[row]:
            if page.blocks[block].kind == RUN:
                page.blocks[block].formulas = search.found
                _find(page.text, page.blocks[block].start, page.blocks[block].end, spans, search)
                page.blocks[block].formulas_end = search.found
            block += 1
        if search.refused:
            page.refused[row] = True


@register_jitable
def _find(text: Bytes, at: int, end: int, spans: Records, search: Search) -> None:
    """Write the formulas of one run, as `formulas._delimited` and `_UNSAFE` let them through."""
    while at < end:
        byte = text[at]
        if byte == _DOLLAR:
            at = _read_dollars(text, at, end, spans, search)
        elif byte == _BACKSLASH:
            at = _read_backslash(text, at, end, spans, search)
        else:
            at += 1


@register_jitable
def _read_dollars(text: Bytes, at: int, end: int, spans: Records, search: Search) -> int:
    """Read `$..$` or `$$..$$` -> where to go on."""
    if at + 1 < end and text[at + 1] == _DOLLAR:
        stop = _body_end(text, at + 2, end, _DISPLAY, search)
        if stop == at + 2 or stop + 1 >= end or text[stop] != _DOLLAR:
            return at + 2
        _add_span(text, at, stop + 2, spans, search)
        return stop + 2
    stop = _body_end(text, at + 1, end, _INLINE, search)
    if stop == at + 1 or stop >= end or text[stop] != _DOLLAR:
        return at + 1
    if not _is_mathematics(text, at + 1, stop, end, search):
        return stop  # its closing dollar may open the next one
    _add_span(text, at, stop + 1, spans, search)
    return stop + 1


@register_jitable
def _read_backslash(text: Bytes, at: int, end: int, spans: Records, search: Search) -> int:
    r"""Read `\(..\)`, `\[..\]` or an escaped dollar or backslash -> where to go on."""
    if _begins(text, at, end, _BEGIN) or _begins(text, at + 1, end, _BEGIN):
        search.refused = 1
    following = text[at + 1] if at + 1 < end else OBJECT
    if following in (_BACKSLASH, _DOLLAR):
        return at + 2
    if following not in (_PARENTHESIS, _BRACKET):
        return at + 1
    stop = _body_end(text, at + 2, end, following, search)
    closing = _CLOSING_PARENTHESIS if following == _PARENTHESIS else _CLOSING_BRACKET
    if stop == at + 2 or stop + 1 >= end or text[stop] != _BACKSLASH or text[stop + 1] != closing:
        return at + 1
    _add_span(text, at, stop + 2, spans, search)
    return stop + 2


@register_jitable
def _body_end(text: Bytes, at: int, end: int, opener: int, search: Search) -> int:
    """Return where the inside of a formula stops: before what could close it, a blank line or the run's end."""
    while at < end:
        byte = text[at]
        if byte == _BACKSLASH:
            following = text[at + 1] if at + 1 < end else OBJECT
            if at + 1 == end or _ends_round(opener, following):
                return at
            box = _box_end(text, at + 1, end, search) if opener == _INLINE else at
            at = box if box > at else at + 1 if following == _NEWLINE else at + 2
        elif (
            byte == _DOLLAR and (opener == _INLINE or (opener == _DISPLAY and at + 1 < end and text[at + 1] == _DOLLAR))
        ) or (byte == _NEWLINE and _is_blank_line(text, at + 1, end)):
            return at
        else:
            at += 1
    return at


@register_jitable
def _ends_round(opener: int, following: int) -> bool:
    r"""Tell whether a backslash before `following` stops `\(..\)` or `\[..\]`."""
    if opener == _PARENTHESIS:
        return following in (_PARENTHESIS, _CLOSING_PARENTHESIS)
    return opener == _BRACKET and following in (_BRACKET, _CLOSING_BRACKET)


@register_jitable
def _is_blank_line(text: Bytes, at: int, end: int) -> bool:
    while at < end and text[at] in (_SPACE, _TAB):
        at += 1
    return at < end and text[at] == _NEWLINE


@register_jitable
def _box_end(text: Bytes, at: int, end: int, search: Search) -> int:
    r"""Return where `\text{..}`, `\mbox{..}` or the like ends whose name begins at `at`; 0 where it is none.

    Dollars may stand in one of up to 200 characters.
    """
    which = 0
    while which < len(_BOXES) and not _begins(text, at, end, _BOXES[which : which + _BOX]):
        which += _BOX
    if which == len(_BOXES):
        return 0
    at += _BOX
    while which == 0 and at < end and _IS_WORD[text[at]]:
        at += 1
    if at < end and text[at] >= _BEYOND_ASCII:
        search.refused = 1  # a letter, perhaps
    if at >= end or text[at] != _BRACE:
        return 0
    length, at = 0, at + 1
    while at < end and text[at] not in (_BRACE, _CLOSING_BRACE, _NEWLINE):
        length += (text[at] & 0xC0) != _BEYOND_ASCII  # bytes that do not begin a character count for nothing
        at += 1
    return at + 1 if at < end and text[at] == _CLOSING_BRACE and length <= 200 else 0  # noqa: PLR2004


@register_jitable
def _begins(text: Bytes, at: int, end: int, word: Bytes) -> bool:
    if end - at < len(word):
        return False
    for place in range(len(word)):  # noqa: SIM110
        if text[at + place] != word[place]:
            return False
    return True


# Money or mathematics


@register_jitable
def _is_mathematics(text: Bytes, start: int, stop: int, end: int, search: Search) -> bool:
    """Tell as `formulas._is_mathematics` does whether `text[start:stop]` between dollars is a formula."""
    marked = underscored = beyond = False
    for at in range(start, stop):
        marked = marked or _IS_MARK[text[at]] == 1
        underscored = underscored or text[at] == _UNDERSCORE
        beyond = beyond or text[at] >= _BEYOND_ASCII
    trimmed = not space_at(text, start, stop) and not space_before(text, start, stop)
    if marked and trimmed:
        return True
    digit = _is_digit_after(text, stop + 1, end, search)
    if marked:
        search.refused |= digit  # a `\begin{` might stand in it
        return not digit
    if digit:
        return False
    search.refused |= beyond  # its letters may be words
    return (trimmed or underscored) and not _has_words(text, start, stop)


@register_jitable
def _is_digit_after(text: Bytes, at: int, end: int, search: Search) -> bool:
    """Tell a digit as `str.isdigit` has it; beyond ASCII only where it is certain."""
    if at >= end or text[at] < _BEYOND_ASCII:
        return at < end and _ZERO <= text[at] <= _NINE
    if not (text[at] == 0xE2 and at + 1 < end and text[at + 1] == 0x80):  # noqa: PLR2004
        search.refused = 1
    return False


@register_jitable
def _has_words(text: Bytes, start: int, stop: int) -> bool:
    """Tell `formulas._WORDS` in ASCII: a blank with two letters on both sides, or behind it where a digit begins."""
    counted = _ZERO <= text[start] <= _NINE
    at = start
    while at < stop:
        if not space_at(text, at, stop):
            at += 1
            continue
        before = at
        while at < stop and space_at(text, at, stop):
            at += 1
        lettered = before - 2 >= start and _IS_LETTER[text[before - 1]] and _IS_LETTER[text[before - 2]]
        if at + 1 < stop and _IS_LETTER[text[at]] and _IS_LETTER[text[at + 1]] and (lettered or counted):
            return True
    return False


# What must not come out verbatim


@register_jitable
def _add_span(text: Bytes, start: int, end: int, spans: Records, search: Search) -> None:
    """Write a formula, unless it is unsafe for certain; refuse what only might be."""
    linked = False
    for at in range(start, end):
        byte = text[at]
        if byte in (_TICK, OBJECT) or (at + 2 < end and byte == text[at + 1] == text[at + 2] == _TILDE):
            return
        if byte == _LESS and at + 1 < end and _is_perhaps_tag(text, start, at, end):
            search.refused = 1
        if linked and byte in (_COLON, _AMPERSAND):
            search.refused = 1
        if byte in (_PARENTHESIS, _COLON) and text[at - 1] == _CLOSING_BRACKET:
            linked = True
    spans[search.found].start, spans[search.found].end = start, end
    search.found += 1


@register_jitable
def _is_perhaps_tag(text: Bytes, start: int, less: int, end: int) -> bool:  # noqa: C901
    """Tell whether the `<` could begin what `formulas._UNSAFE` takes for a tag or an autolink."""
    if text[less + 1] in (_SLASH, _BANG, _QUESTION):
        return True
    at = less + 1
    while at < end and _IS_ATOM[text[at]]:
        at += 1
    if at < end and at > less + 1 and text[at] in (_COLON, _AT):
        return True
    if not _IS_LETTER[text[less + 1]]:
        return False
    before = less
    while before > start:
        width = space_before(text, start, before)
        if not width:
            break
        before -= width
        if text[before] == _NEWLINE:
            return True
    at = less + 1
    while at < end and _IS_TAG[text[at]]:
        at += 1
    spaced = at
    while at < end:
        width = space_at(text, at, end)
        if not width:
            break
        at += width
    if at == end or text[at] in (_SLASH, _GREATER, _EQUALS):
        return True
    return at > spaced and (_IS_LETTER[text[at]] == 1 or text[at] in (_UNDERSCORE, _COLON))
