"""Text to the hashes of its word n-grams, compiled, over the bytes and offsets of an Arrow string array.

A word's hash is FNV-1a over its folded code points; an n-gram's is its words' as digits of a number in base RADIX,
with n mixed in. `words.py` says what a word is. All of it sits in this one file because numba's cache notices a change
only in the file a function is in.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import register_jitable

from warehouse.decontamination.words import ALONE, DIGIT, DROP, DROP_GROUP, HIDDEN, LONG, MARK, SIGN
from warehouse.dedupe.kernel import FNV_OFFSET, FNV_PRIME, RADIX, Bytes, Counts, Hashes, Words

VERSION = "fnv1a-radix-latex-1"
"""Raise it when the same text gives other hashes."""

Flags = npt.NDArray[np.bool_]
Room = tuple[Words, Words, Hashes, Counts, Counts]
"""Where a text is read into: entries, the character each is from; the words' hashes, first entries and ends."""

Table = tuple[Words, Words, Hashes, Hashes, Counts]
"""`words.fold_tables()` and `words.commands()`, one behind the other."""

Known = tuple[Counts, Hashes, Bytes, Hashes]
"""Sizes; the keys of all, sorted; bits, of which one is set for the upper bits (key >> shift of its size) of each key,
so that most n-grams end there; and those shifts."""

Numbers = TypeVar("Numbers", Words, Hashes, Counts)

FULL = -1
"""Returned where there is no room for the answer."""

TELLING_LETTERS = 3
"""Letters from which a word tells something; shorter ones are symbols, articles and fragments."""

_CODE = np.uint32(0x1FFFFF)  # the bits of an entry that hold a code point or an index
_DEEPEST = 64  # braces within braces that are looked into; beyond, they only separate
_LONGEST_EXPANSION = 18  # of U+FDFA, the longest of NFKD
_LONGEST_NAME = 40  # of an environment
_ASCII, _THREE_BYTES, _FOUR_BYTES = 0x80, 0xE0, 0xF0
_BACKSLASH, _OPEN, _CLOSE = (SIGN | np.uint32(ord(sign)) for sign in "\\{}")
_SPACE = SIGN | np.uint32(ord(" "))
_SMALL_A, _SMALL_Z = np.uint32(ord("a")), np.uint32(ord("z"))
_NO_WORD = np.uint64(0)


@njit(cache=True, nogil=True)
def count_words(data: Bytes, offsets: Counts, table: Table, counts: Counts) -> None:
    """Write the number of words of text i, `data[offsets[i]:offsets[i + 1]]`, to `counts[i]`."""
    room = _room(offsets)
    for row in range(len(counts)):
        room, counts[row] = _read(data, offsets[row], offsets[row + 1], table, room)


@njit(cache=True, nogil=True)
def list_ngrams(
    data: Bytes, offsets: Counts, table: Table, sizes: Counts, starts: Counts, keys: Hashes, telling: Counts
) -> None:
    """Write the n-gram hashes of text i, n being `sizes[i]` (0: none), to `keys[starts[i]:starts[i + 1]]`.

    telling: beside each hash, how many of its words tell something.
    """
    room = _room(offsets)
    for row in range(len(sizes)):
        size = sizes[row]
        if size == 0:
            continue
        room, count = _read(data, offsets[row], offsets[row + 1], table, room)
        entries, words, begins, ends = room[0], room[2], room[3], room[4]
        number, tells, weight = np.uint64(0), 0, _power(size)
        for at in range(count):
            number = number * RADIX + words[at]
            tells += _tells(entries, begins[at], ends[at])
            if at >= size:
                number -= words[at - size] * weight
                tells -= _tells(entries, begins[at - size], ends[at - size])
            if at >= size - 1:
                keys[starts[row] + at - size + 1] = _key(number, size)
                telling[starts[row] + at - size + 1] = tells


@njit(cache=True, nogil=True)
def find_keys(data: Bytes, offsets: Counts, table: Table, known: Known) -> Counts:
    """Look every n-gram of the known sizes up among the known keys -> hits, (rows, 6).

    A hit is: text, size, number of its first word, first character and end in the text, place among the keys.
    """
    room = _room(offsets)
    hits, found = np.empty((64, 6), np.int64), 0
    for row in range(len(offsets) - 1):
        room, count = _read(data, offsets[row], offsets[row + 1], table, room)
        for which in range(len(known[0])):
            after = _match(row, room, count, which, known, hits, found)
            while after == FULL:
                hits = np.concatenate((hits, np.empty_like(hits)))
                after = _match(row, room, count, which, known, hits, found)
            found = after
    return hits[:found]


@njit(cache=True, nogil=True)
def _match(row: int, room: Room, count: int, which: int, known: Known, hits: Counts, found: int) -> int:
    """Write the hits of one size behind the `found` first ones -> how many there are now, or FULL."""
    _, places, words, begins, ends = room
    sizes, keys, bits, shifts = known
    size = sizes[which]
    number, weight = np.uint64(0), _power(size)
    for at in range(count):
        number = number * RADIX + words[at]
        if at >= size:
            number -= words[at - size] * weight
        if at < size - 1:
            continue
        key = _key(number, size)
        high = key >> shifts[which]
        if not bits[high >> np.uint64(3)] & (np.uint8(1) << np.uint8(high & np.uint64(7))):
            continue
        place = np.searchsorted(keys, key)
        if place == len(keys) or keys[place] != key:
            continue
        if found == len(hits):
            return FULL
        first = at - size + 1
        start, end = np.int64(places[begins[first]]), np.int64(places[ends[at] - 1]) + 1
        hits[found, 0], hits[found, 1], hits[found, 2] = row, size, first
        hits[found, 3], hits[found, 4], hits[found, 5] = start, end, place
        found += 1
    return found


@register_jitable
def _power(size: int) -> np.uint64:
    """Return RADIX to the power of `size`, modulo 2^64: the weight of the word that leaves."""
    weight = np.uint64(1)
    for _ in range(size):
        weight = weight * RADIX
    return weight


@register_jitable
def _key(number: np.uint64, size: int) -> np.uint64:
    """Mix the size in. No finaliser: the upper bits, which choose the bit that is asked, depend on every word."""
    return number ^ (np.uint64(size) * FNV_PRIME)


@register_jitable
def _room(offsets: Counts) -> Room:
    """Make room for the longest text, if nothing in it expands."""
    longest = (np.max(np.diff(offsets)) if len(offsets) > 1 else 0) + _LONGEST_EXPANSION
    return (
        np.empty(longest, np.uint32),
        np.empty(longest, np.uint32),
        np.empty(longest // 4 + 1, np.uint64),
        np.empty(longest // 4 + 1, np.int64),
        np.empty(longest // 4 + 1, np.int64),
    )


@register_jitable
def _tells(entries: Words, begin: int, end: int) -> int:
    """Tell whether a word says something: three letters but no command, or one of a script without spaces."""
    if begin > 0 and entries[begin - 1] == _BACKSLASH:
        return 0
    return int((end - begin >= TELLING_LETTERS and not entries[begin] & DIGIT) or entries[begin] & ALONE != 0)


@njit(cache=True, nogil=True)
def _read(data: Bytes, start: int, end: int, table: Table, room: Room) -> tuple[Room, int]:
    """Find the words of `data[start:end]` -> the room, larger if need be, and their number."""
    entries, places, words, begins, ends = room
    length = _fold(data[start:end], table, entries, places)
    while length == FULL:
        entries, places = _doubled(entries), _doubled(places)
        length = _fold(data[start:end], table, entries, places)
    stack = np.zeros(_DEEPEST + 2, np.int64)
    count = _split(entries[:length], table, stack, words, begins, ends)
    while count == FULL:
        words, begins, ends = _doubled(words), _doubled(begins), _doubled(ends)
        stack[:] = 0
        count = _split(entries[:length], table, stack, words, begins, ends)
    return (entries, places, words, begins, ends), count


@register_jitable
def _doubled(array: Numbers) -> Numbers:
    return np.empty(2 * len(array), array.dtype)


@njit(cache=True, nogil=True)
def _fold(text: Bytes, table: Table, entries: Words, places: Words) -> int:
    """Write the entries of a text and the number of the character each is from -> how many there are, or FULL."""
    letters, expansions = table[0], table[1]
    at, character, count = 0, 0, 0
    while at < len(text):
        if text[at] < _ASCII:
            entries[count], places[count] = letters[text[at]], character
            count, at, character = count + 1, at + 1, character + 1
            continue
        code, at = _code_point(text, at)
        entry = letters[code]
        if entry & LONG:
            first = int(entry & _CODE)
            if count + _LONGEST_EXPANSION + len(text) - at > len(entries):
                return FULL
            for place in range(first + 1, first + 1 + expansions[first]):
                entries[count], places[count] = expansions[place], character
                count += 1
        elif entry != HIDDEN:
            entries[count], places[count] = entry, character
            count += 1
        character += 1
    return count


@register_jitable
def _code_point(data: Bytes, at: int) -> tuple[int, int]:
    """Decode the two to four bytes at `at` (RFC 3629) -> (code point, where the next begins)."""
    lead = np.int64(data[at])
    if lead < _THREE_BYTES:
        return (lead & 0x1F) << 6 | (data[at + 1] & 0x3F), at + 2
    if lead < _FOUR_BYTES:
        return (lead & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), at + 3
    high = (lead & 0x07) << 18 | np.int64(data[at + 1] & 0x3F) << 12
    return high | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), at + 4


@njit(cache=True, nogil=True)
def _split(entries: Words, table: Table, stack: Counts, words: Hashes, begins: Counts, ends: Counts) -> int:
    """Write the hash, first entry and end of each word -> the number of words, or FULL.

    stack: [open braces, arguments still expected, arguments expected outside of each open brace ...].
    """
    at, count, length = 0, 0, len(entries)
    while at < length:
        entry = entries[at]
        if entry == 0:
            stack[1] = 0  # an argument was punctuation
            at += 1
            continue
        if entry & (SIGN | MARK):
            word, begin, at = _sign(entries, at, table, stack)
            if word == _NO_WORD:
                continue
        else:
            begin, alone = at, entry & ALONE != 0 or stack[1] > 0
            word = (FNV_OFFSET ^ np.uint64(entry & _CODE)) * FNV_PRIME
            at += 1
            while at < length and not alone and _goes_on(entries[at], entry):
                word = (word ^ np.uint64(entries[at] & _CODE)) * FNV_PRIME
                at += 1
            stack[1] = max(stack[1] - 1, 0)
        if count == len(words):
            return FULL
        words[count], begins[count], ends[count] = word, begin, at
        count += 1
    return count


@register_jitable
def _sign(entries: Words, at: int, table: Table, stack: Counts) -> tuple[np.uint64, int, int]:
    """Read what is no letter or digit at `at` -> (hash of a command's name or _NO_WORD, where that begins, its end)."""
    entry = entries[at]
    if entry == _BACKSLASH:
        return _command(entries, at, table, stack)
    if entry == _OPEN:
        _open(stack)
    elif entry == _CLOSE:
        _close(stack)
    elif entry != _SPACE:
        stack[1] = 0  # an argument was punctuation
    return _NO_WORD, at, at + 1


@register_jitable
def _goes_on(entry: np.uint32, first: np.uint32) -> bool:
    """Tell whether a word of letters, or of digits, goes on with this entry."""
    if entry == 0 or entry & (SIGN | ALONE):
        return False
    return bool(entry & MARK or entry & DIGIT == first & DIGIT)


@register_jitable
def _open(stack: Counts) -> None:
    if stack[0] < _DEEPEST:
        stack[2 + stack[0]] = max(stack[1] - 1, 0)
        stack[0] += 1
    stack[1] = 0


@register_jitable
def _close(stack: Counts) -> None:
    stack[1] = 0
    if stack[0] > 0:
        stack[0] -= 1
        stack[1] = stack[2 + stack[0]]


@register_jitable
def _command(entries: Words, at: int, table: Table, stack: Counts) -> tuple[np.uint64, int, int]:
    r"""Read the command at `at` -> (its hash as a word or _NO_WORD, where its name begins, where it ends).

    Several backslashes count as one: some exports double them. An escaped brace is punctuation.
    """
    length = len(entries)
    while at < length and entries[at] == _BACKSLASH:
        at += 1
    begin, word = at, FNV_OFFSET
    while at < length and _SMALL_A <= entries[at] <= _SMALL_Z:
        word = (word ^ np.uint64(entries[at])) * FNV_PRIME
        at += 1
    if at == begin:
        return _NO_WORD, at, min(at + 1, length) if at < length and entries[at] & SIGN else at
    place = np.searchsorted(table[2], word)
    known = place < len(table[2]) and table[2][place] == word
    if known and table[4][place] == DROP_GROUP:
        return _NO_WORD, at, _skip_group(entries, at)
    if known and table[4][place] == DROP:
        return _NO_WORD, at, at
    stack[1] = max(stack[1] - 1, 0) + (table[4][place] if known else 0)
    return (table[3][place] if known else word), begin, at


@register_jitable
def _skip_group(entries: Words, at: int) -> int:
    """Return where the group in braces at `at` ends; `at` itself where there is none, or a long one."""
    if at < len(entries) and entries[at] == _OPEN:
        for end in range(at + 1, min(at + _LONGEST_NAME, len(entries))):
            if entries[end] == _CLOSE:
                return end + 1
    return at
