"""What is compared: the tokens of a text, and its shingles, `size` tokens in a row.

A token is a maximal run of word characters (Unicode letters, numbers and marks, of any script), lower-cased; of
scripts written without spaces each character is a token, so that their shingles are character shingles. A text of
fewer tokens than a shingle has is one shingle of them all; a text without tokens has none.

The same letter as one code point or as letter and accent (NFC, NFD) gives different tokens: normalise text before.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np

from warehouse.dedupe.kernel import ALONE, Words

_SPACELESS = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA"),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ", "BALINESE ", "JAVANESE ", "TAI ", "NEW TAI LUE "),
)
"""How the Unicode names of characters begin whose scripts are written without spaces."""

_SIGMA, _FINAL_SIGMA = 0x3C3, 0x3C2


@cache
def letter_table() -> Words:
    """Map each code point to 0 (separates), or to its lower case, flagged where it is a token of its own."""
    table = np.zeros(0x110000, np.uint32)
    for code, letter in _letters():
        alone = ALONE if unicodedata.name(letter, "").startswith(_SPACELESS) else 0
        # The first code point of .lower() is the simple mapping of the Unicode tables; only U+0130 has a second.
        table[code] = ord(letter.lower()[0]) | alone
    table[_FINAL_SIGMA] = _SIGMA  # a capital sigma has two lower cases, by its place in the word
    return table


def _letters() -> Iterator[tuple[int, str]]:
    letters = map(chr, range(0x110000))
    return ((code, letter) for code, letter in enumerate(letters) if unicodedata.category(letter)[0] in "LNM")
