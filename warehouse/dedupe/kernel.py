"""Text to MinHash values, compiled: the hot loop of dedupe, over the bytes and offsets of an Arrow string array.

A token's hash is FNV-1a over its code points; a shingle's is its tokens' as digits of a number in base RADIX,
finalised, of which the upper 32 bits are the value that datasketch would take from a `hashfunc`.

All of it sits in this one file because numba's cache notices a change only in the file a function is in.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import register_jitable

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Bits = TypeVar("Bits", np.uint64, Hashes)

VERSION = "fnv1a-radix-1"
"""Raise it when the same text gives other values."""

FNV_OFFSET = np.uint64(0xCBF29CE484222325)  # 64 bits: draft-eastlake-fnv, section 5
FNV_PRIME = np.uint64(0x100000001B3)
RADIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio: odd, without pattern

ALONE = np.uint32(1 << 31)  # flag in the letter table: this character is a token of its own

_ASCII = 0x80  # UTF-8 lead bytes below it stand for themselves; below the next two, for 2 and 3 bytes (RFC 3629)
_THREE_BYTES, _FOUR_BYTES = 0xE0, 0xF0


@register_jitable
def finalise(value: Bits) -> Bits:
    """Spread every bit of 64-bit hashes over all bits: MurmurHash3's finaliser."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True, nogil=True)
def fill(
    data: Bytes,
    offsets: Counts,
    letters: Words,
    permutations: Words,
    size: int,
    signatures: Words,
    shingles: Counts,
) -> None:
    """Write the values of text i to `signatures[i]`, and its number of shingles to `shingles[i]`.

    data, offsets: text i is `data[offsets[i]:offsets[i + 1]]`, UTF-8.
    letters: the letter table. permutations: (2, values), datasketch's multipliers and addends.
    size: tokens a shingle. A text without shingles gets all ones, as an empty MinHash has.
    """
    longest = np.max(np.diff(offsets)) if len(shingles) else 0
    room = (longest + 1) // 2  # a token takes two bytes at least, its separator included
    tokens, hashes = np.empty(room, np.uint64), np.empty(room, np.uint32)
    for row in range(len(shingles)):
        count = _tokenise(data, offsets[row], offsets[row + 1], letters, tokens)
        shingles[row] = _shingle(tokens, count, size, hashes)
        _permute(hashes[: shingles[row]], permutations[0], permutations[1], signatures[row])


@njit(cache=True, nogil=True)
def sample(
    data: Bytes, offsets: Counts, letters: Words, size: int, highest: np.uint64, shingles: Counts, sampled: Counts
) -> Hashes:
    """Write the number of shingles of text i to `shingles[i]`, and to `sampled[i]` how many hashes it has <= `highest`.

    The first four as in `fill`, where texts of fewer tokens than a shingle have one; here they have none.
    answer: those hashes, of 64 bits, text after text; of one text distinct and ascending.
    """
    longest = np.max(np.diff(offsets)) if len(shingles) else 0
    tokens = np.empty((longest + 1) // 2, np.uint64)
    hashes, end = np.empty(1024, np.uint64), 0
    for row in range(len(shingles)):
        count = _tokenise(data, offsets[row], offsets[row + 1], letters, tokens)
        shingles[row] = max(0, count - size + 1)
        sampled[row] = _sample(tokens, shingles[row], size, highest)
        if end + sampled[row] > len(hashes):
            hashes = np.concatenate((hashes, np.empty(len(hashes) + sampled[row], np.uint64)))
        hashes[end : end + sampled[row]] = tokens[: sampled[row]]
        end += sampled[row]
    return hashes[:end]


@njit(cache=True, nogil=True)
def _sample(tokens: Hashes, shingles: int, size: int, highest: np.uint64) -> int:
    """Overwrite `tokens` from the start by the low hashes of its shingles, distinct and ascending -> how many."""
    low = 0
    for first in range(shingles):
        value = _hash_shingle(tokens, first, size)
        if value <= highest:
            tokens[low] = value  # never ahead of `first`, whose token is not needed again
            low += 1
    distinct = 0
    tokens[:low].sort()
    for at in range(low):
        if at == 0 or tokens[at] != tokens[distinct - 1]:
            tokens[distinct] = tokens[at]
            distinct += 1
    return distinct


@njit(cache=True, nogil=True)
def _tokenise(data: Bytes, start: int, end: int, letters: Words, tokens: Hashes) -> int:
    """Write the hashes of the tokens of `data[start:end]` -> how many there are."""
    count, at, token = 0, start, FNV_OFFSET  # a token that still has its first value has not begun
    while at < end:
        if data[at] < _ASCII:
            letter = letters[data[at]]
            at += 1
        else:
            code, at = _code_point(data, at)
            letter = letters[code]
        if 0 < letter < ALONE:
            token = (token ^ np.uint64(letter)) * FNV_PRIME
            continue
        if token != FNV_OFFSET:
            tokens[count] = token
            count += 1
            token = FNV_OFFSET
        if letter != 0:
            tokens[count] = (FNV_OFFSET ^ np.uint64(letter ^ ALONE)) * FNV_PRIME
            count += 1
    if token != FNV_OFFSET:
        tokens[count] = token
        count += 1
    return count


@njit(cache=True, nogil=True)
def _code_point(data: Bytes, at: int) -> tuple[int, int]:
    """Decode the two to four bytes at `at` -> (code point, where the next begins)."""
    lead = np.int64(data[at])
    if lead < _THREE_BYTES:
        return (lead & 0x1F) << 6 | (data[at + 1] & 0x3F), at + 2
    if lead < _FOUR_BYTES:
        return (lead & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), at + 3
    high = (lead & 0x07) << 18 | np.int64(data[at + 1] & 0x3F) << 12
    return high | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), at + 4


@njit(cache=True, nogil=True)
def _shingle(tokens: Hashes, count: int, size: int, hashes: Words) -> int:
    """Write the 32-bit hashes of the shingles of `tokens[:count]` -> how many there are."""
    if count == 0:
        return 0
    size = min(size, count)
    for first in range(count - size + 1):
        hashes[first] = np.uint32(_hash_shingle(tokens, first, size) >> np.uint64(32))
    return count - size + 1


@register_jitable
def _hash_shingle(tokens: Hashes, first: int, size: int) -> np.uint64:
    """Hash the tokens from `first` on as the digits of one number."""
    number = np.uint64(0)
    for place in range(size):
        number = number * RADIX + tokens[first + place]
    return finalise(number)


@njit(cache=True, nogil=True)
def _permute(hashes: Words, multipliers: Words, addends: Words, signature: Words) -> None:
    """Write the least value of each permutation. `min` and the casts keep to 32 bits: vector instructions follow."""
    for at in range(len(hashes)):
        hashes[at] = _premix(hashes[at])
    for perm in range(len(signature)):
        least = np.uint32(0xFFFFFFFF)
        for at in range(len(hashes)):
            least = min(least, np.uint32(np.uint32(multipliers[perm] * hashes[at]) + addends[perm]))
        signature[perm] = least


@njit(cache=True, nogil=True)
def _premix(value: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finaliser, which datasketch applies to every input hash."""
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))
