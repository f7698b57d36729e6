"""Pieces of HTML decoded and written as Markdown, for the compiled reader: text, entities, addresses, code, images."""

import numpy as np
from numba.extending import register_jitable

from miners.text.compiled.layout import Bytes, flags, space_at, space_before
from miners.text.compiled.names import ENTITIES, KEY_BASE, LONGEST

REFUSED = -1
"""Returned where the reference must do the work."""

LANGUAGE_PREFIX = 5
"""Bytes of `lang-`."""

_NEWLINE, _SPACE, _BANG, _QUOTE, _HASH, _PERCENT, _AMPERSAND = map(ord, '\n !"#%&')
_PARENTHESIS, _CLOSING_PARENTHESIS, _SLASH, _ZERO, _NINE, _SEMICOLON = map(ord, "()/09;")
_LESS, _GREATER, _BRACKET, _BACKSLASH, _CLOSING_BRACKET, _TICK, _SMALL_A = map(ord, "<>[\\]`a")
_SMALL_Z = ord("z")
_DELETE, _BEYOND_ASCII = 0x7F, 0x80
_CASE = 0x20  # the bit that tells a small letter from a capital


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = f"{_LETTERS}{_LETTERS.upper()}0123456789"
_IS_ALNUM = flags(_ALNUM)
_IS_WORD = flags(_ALNUM + "_")
_IS_BARE = flags(_ALNUM + "_:/.?=&%#,;~+@!'-")  # `inline._BARE`
_IS_SAFE = flags(_ALNUM + "_%/:?#@!$&'*+,;=~.-")  # what `inline.clean_url` does not quote
_IS_SCRIPT = flags(_ALNUM + "_+().,/-")  # `inline._SCRIPT`
_IS_LANGUAGE = flags(_ALNUM + "_+#.-")  # `tags._LANGUAGE`
_IS_MARKUP = flags("\\`*_<>&[]$~")  # `inline.image`
_IS_PLAIN = 1 - flags("".join(map(chr, {*range(32), _DELETE, _AMPERSAND} - {9, 10})))
_HEX = np.frombuffer(b"0123456789ABCDEF", np.uint8)
_SCHEMES = np.frombuffer(b"http://https://ftp://mailto:", np.uint8)
_SCHEME_ENDS = np.array([0, 7, 15, 21, 28])
_LANG = np.frombuffer(b"lang-", np.uint8)
_NO_LANGUAGES = np.frombuffer(b"noneautodefaultnohighlight", np.uint8)
_NO_LANGUAGE_ENDS = np.array([0, 4, 8, 15, 26])


@register_jitable
def is_blank(text: Bytes, at: int, end: int) -> bool:
    """Tell whether all of a text is white space."""
    while at < end:
        width = space_at(text, at, end)
        if not width:
            return False
        at += width
    return True


@register_jitable
def decode(data: Bytes, at: int, end: int, into: Bytes, cursor: int) -> int:
    """Write the HTML text `data[at:end]`, its entities decoded, to `into[cursor:]` -> where that ends."""
    while at < end:
        byte = data[at]
        if _IS_PLAIN[byte]:
            into[cursor] = byte
            cursor, at = cursor + 1, at + 1
        elif byte != _AMPERSAND:
            return REFUSED
        else:
            code, at = _entity(data, at + 1, end)
            if code == REFUSED:
                return REFUSED
            cursor = _encode(code, into, cursor)
    return cursor


@register_jitable
def _entity(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Decode the entity whose `&` stands before `at` -> (code point, where it ends)."""
    if at < end and data[at] == _HASH:
        return _numeric_entity(data, at + 1, end)
    key, stop = read_name(data, at, end)
    place = np.searchsorted(ENTITIES[0], key)
    if stop >= end or data[stop] != _SEMICOLON or place == ENTITIES.shape[1] or ENTITIES[0, place] != key:
        return REFUSED, end
    return int(ENTITIES[1, place]), stop + 1


@register_jitable
def _numeric_entity(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Decode `39;` or three to four digits; refuse what `html.unescape` drops or replaces: C0 and C1 controls."""
    code, stop = 0, at
    while stop < min(end, at + 4) and _ZERO <= data[stop] <= _NINE:
        code, stop = code * 10 + data[stop] - _ZERO, stop + 1
    if stop >= end or data[stop] != _SEMICOLON or (stop - at < 3 and not (stop - at == 2 and code == 39)):  # noqa: PLR2004
        return REFUSED, end
    return (REFUSED if code < _SPACE or _DELETE <= code < 0xA0 else code), stop + 1  # noqa: PLR2004


@register_jitable
def read_name(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read small letters and digits -> (key, where they end). The key of a name too long for a key is no name's."""
    key, stop = np.int64(0), at
    while stop < end:
        byte = np.int64(data[stop])
        if _SMALL_A <= byte <= _SMALL_Z:
            digit = byte - _SMALL_A + 1
        elif _ZERO <= byte <= _NINE:
            digit = byte - _ZERO + 27
        else:
            break
        key, stop = key * KEY_BASE + digit, stop + 1
        if stop - at > LONGEST:
            return REFUSED, stop
    return int(key), stop


@register_jitable
def _encode(code: int, into: Bytes, cursor: int) -> int:
    """Write a code point as UTF-8 (RFC 3629) -> where it ends."""
    if code < _BEYOND_ASCII:
        into[cursor] = code
        return cursor + 1
    width = 2 if code < 0x800 else 3 if code < 0x10000 else 4  # noqa: PLR2004
    for place in range(width - 1, 0, -1):
        into[cursor + place] = _BEYOND_ASCII | (code & 0x3F)
        code >>= 6
    into[cursor] = code | (0xF00 >> width & 0xFF)
    return cursor + width


# What stands between tags


@register_jitable
def skip_blanks(text: Bytes, at: int, end: int) -> int:
    """Return where the white space that begins at `at` ends."""
    while at < end:
        width = space_at(text, at, end)
        if not width:
            break
        at += width
    return at


@register_jitable
def trim_blanks(text: Bytes, start: int, end: int) -> int:
    """Return where the white space that ends at `end` begins."""
    while end > start:
        width = space_before(text, start, end)
        if not width:
            break
        end -= width
    return end


@register_jitable
def script_length(text: Bytes, start: int, end: int) -> int:
    """Return the length of a script that `inline._SCRIPT` takes, 0 for others, REFUSED where letters are unknown."""
    chars = beyond = 0
    for at in range(start, end):
        beyond |= text[at] >= _BEYOND_ASCII
        chars += (text[at] & 0xC0) != _BEYOND_ASCII  # bytes that do not begin a character count for nothing
        if chars > 20 or (text[at] < _BEYOND_ASCII and not _IS_SCRIPT[text[at]]):  # noqa: PLR2004
            return 0
    return REFUSED if beyond else end - start


@register_jitable
def is_letter_or_digit(byte: int) -> bool:
    """Tell an ASCII letter or digit."""
    return bool(_IS_ALNUM[byte])


@register_jitable
def reads_as(text: Bytes, start: int, end: int, url: Bytes) -> bool:
    """Tell whether `text[start:end]` is the address, but for outer white space."""
    start = skip_blanks(text, start, end)
    if end - start < len(url):
        return False
    for place in range(len(url)):
        if text[start + place] != url[place]:
            return False
    return is_blank(text, start + len(url), end)


# Attributes


@register_jitable
def has_digit(data: Bytes, start: int, end: int) -> bool:
    """Tell whether a name holds a digit; an attribute's must not."""
    for at in range(start, end):  # noqa: SIM110
        if _ZERO <= data[at] <= _NINE:
            return True
    return False


@register_jitable
def attribute_end(data: Bytes, at: int, end: int) -> int:
    """Return where the quote stands that ends a value; refuse what is no text or has an entity that none may mend."""
    while at < end and data[at] != _QUOTE:
        if data[at] == _AMPERSAND:
            code, at = _entity(data, at + 1, end)
            if code == REFUSED:
                return REFUSED
        elif data[at] in (_LESS, _GREATER) or not _IS_PLAIN[data[at]]:
            return REFUSED
        else:
            at += 1
    return at if at < end else REFUSED


@register_jitable
def whole_number(data: Bytes, start: int, end: int) -> int:
    """Read one to eight digits; refuse others."""
    if not 0 < end - start <= 8:  # noqa: PLR2004
        return REFUSED
    number = 0
    for at in range(start, end):
        if not _ZERO <= data[at] <= _NINE:
            return REFUSED
        number = number * 10 + data[at] - _ZERO
    return number


@register_jitable
def language_end(data: Bytes, start: int, end: int) -> int:
    """Return where the language ends that a class begins with; `start` where it names none; refuse other spellings."""
    if not _begins(data, start, end, _LANG, 0, len(_LANG)):
        for at in range(start, end):
            if data[at] == _AMPERSAND or _begins(data, at, end, _LANG, 0, len(_LANG) - 1):
                return REFUSED
        return start
    start += len(_LANG)
    for which in range(len(_NO_LANGUAGE_ENDS) - 1):
        if _begins(data, start, end, _NO_LANGUAGES, _NO_LANGUAGE_ENDS[which], _NO_LANGUAGE_ENDS[which + 1]):
            return REFUSED
    at = start
    while at < end and _IS_LANGUAGE[data[at]]:
        at += 1
    return at if start < at <= start + 30 and (at == end or data[at] == _SPACE) else REFUSED


@register_jitable
def _begins(data: Bytes, at: int, end: int, words: Bytes, first: int, last: int) -> bool:
    """Tell whether `data[at:end]` begins with `words[first:last]`."""
    if end - at < last - first:
        return False
    for place in range(last - first):  # noqa: SIM110
        if data[at + place] != words[first + place]:
            return False
    return True


@register_jitable
def clean_address(data: Bytes, start: int, end: int, kept: Bytes, free: int) -> tuple[int, int, int]:
    """Write an address to `kept[free:]` as `inline.clean_url` does -> (start, end, 1 where nothing had to be quoted).

    Start and end are equal where the address must not be linked. One with blanks or beyond ASCII is refused.
    """
    stop = decode(data, start, end, kept, free)
    if stop == REFUSED or _has_odd(kept, free, stop):
        return REFUSED, REFUSED, 0
    first = free
    if stop - free > 1 and kept[free] == _SLASH and kept[free + 1] == _SLASH:
        first = stop
        for byte in (104, 116, 116, 112, 115, 58):  # https:
            kept[stop] = byte
            stop += 1
        for at in range(free, first):
            kept[stop] = kept[at]
            stop += 1
    if not _has_scheme(kept, first, stop):
        return free, free, 0
    if _is_bare(kept, first, stop):
        return first, stop, 1
    return stop, _write_quoted(kept, first, stop), 0


@register_jitable
def _has_odd(text: Bytes, start: int, end: int) -> bool:
    """Tell whether anything but visible ASCII stands in a text."""
    for at in range(start, end):  # noqa: SIM110
        if text[at] <= _SPACE or text[at] >= _DELETE:
            return True
    return False


@register_jitable
def _has_scheme(text: Bytes, start: int, end: int) -> bool:
    """Tell whether an address of visible ASCII begins as `inline._SCHEME` does."""
    for which in range(len(_SCHEME_ENDS) - 1):
        first, last = _SCHEME_ENDS[which], _SCHEME_ENDS[which + 1]
        if end - start <= last - first:
            continue
        place = 0
        while place < last - first and _fold(text[start + place]) == _SCHEMES[first + place]:
            place += 1
        if place == last - first:
            return True
    return False


@register_jitable
def _fold(byte: int) -> int:
    """Return a capital's small letter, all else as it is."""
    return byte | _CASE if _SMALL_A <= byte | _CASE <= _SMALL_Z else byte


@register_jitable
def _is_bare(text: Bytes, start: int, end: int) -> bool:
    """Tell whether `inline._BARE` matches an ASCII address: no markup, and no `&` where an entity could start."""
    for at in range(start, end):
        if not _IS_BARE[text[at]]:
            return False
        if text[at] == _AMPERSAND:
            stop = at + 2 if at + 1 < end and text[at + 1] == _HASH else at + 1
            first = stop
            while stop < end and _IS_WORD[text[stop]]:
                stop += 1
            if first < stop < end and text[stop] == _SEMICOLON:
                return False
    return True


@register_jitable
def _write_quoted(kept: Bytes, start: int, end: int) -> int:
    """Write `kept[start:end]` behind itself, percent-encoded (RFC 3986) but for `&`, an entity -> where it ends."""
    free = end
    for at in range(start, end):
        byte = kept[at]
        kept[free] = byte
        free += 1
        if byte == _AMPERSAND:
            for letter in (97, 109, 112, 59):  # amp;
                kept[free] = letter
                free += 1
        elif not _IS_SAFE[byte]:
            kept[free - 1], kept[free], kept[free + 1] = _PERCENT, _HEX[byte >> 4], _HEX[byte & 15]
            free += 2
    return free


# Markdown


@register_jitable
def write_image(kept: Bytes, alt: int, alt_end: int, url: int, url_end: int, free: int) -> int:
    """Write an image to `kept[free:]`, its text and address being there -> where it ends. As `inline.image`."""
    kept[free], kept[free + 1] = _BANG, _BRACKET
    free += 2
    at = skip_blanks(kept, alt, alt_end)
    while at < alt_end:
        width = space_at(kept, at, alt_end)
        if width:
            at = skip_blanks(kept, at, alt_end)
            if at < alt_end:
                kept[free] = _SPACE
                free += 1
            continue
        if _IS_MARKUP[kept[at]]:
            kept[free] = _BACKSLASH
            free += 1
        kept[free] = kept[at]
        free, at = free + 1, at + 1
    kept[free], kept[free + 1] = _CLOSING_BRACKET, _PARENTHESIS
    free += 2
    for at in range(url, url_end):
        kept[free] = kept[at]
        free += 1
    kept[free] = _CLOSING_PARENTHESIS
    return free + 1


@register_jitable
def write_code_span(kept: Bytes, start: int, end: int) -> int:
    """Write `kept[start:end]` behind itself as inline code -> where it ends. As `inline.code_span`."""
    longest = ticks = 0
    for at in range(start, end):
        if kept[at] == _NEWLINE:
            kept[at] = _SPACE
        ticks = ticks + 1 if kept[at] == _TICK else 0
        longest = max(longest, ticks)
    padded = kept[start] in (_TICK, _SPACE) or kept[end - 1] in (_TICK, _SPACE)
    free = _write_fence(kept, end, longest + 1, padded)
    for at in range(start, end):
        kept[free] = kept[at]
        free += 1
    if padded:
        kept[free] = _SPACE
    return _write_fence(kept, free + padded, longest + 1, False)  # noqa: FBT003


@register_jitable
def _write_fence(kept: Bytes, free: int, ticks: int, padded: bool) -> int:  # noqa: FBT001
    for _ in range(ticks):
        kept[free] = _TICK
        free += 1
    if padded:
        kept[free] = _SPACE
    return free + padded
