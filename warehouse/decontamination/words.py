r"""What counts as a word when a text is compared with a benchmark, so that layout and notation do not hide a copy.

A word is a maximal run of letters and marks, or of digits; of scripts written without spaces each character is one.
Letters are lower-cased and taken as NFKD writes them, so that composed, decomposed and compatible forms (NFC, NFD,
NFKC) agree; punctuation, operators and invisible characters are no words.

LaTeX is read by its meaning: the name of a command is a word; commands that only lay out or delimit (`\left`, `\,`,
`\mathrm`, `\begin{align}`) are none; `\dfrac` and `\tfrac` are `\frac`; braces, `$` and `\(` are punctuation; and
`\frac12` has the words of `\frac{1}{2}`, for TeX gives a command without braces one character an argument.
"""

import unicodedata
from functools import cache

import numpy as np

from warehouse.dedupe.kernel import Counts, Hashes, Words
from warehouse.dedupe.shingles import letter_table

ALONE, DIGIT, MARK, LONG, SIGN, HIDDEN = (np.uint32(1 << bit) for bit in (31, 30, 29, 28, 27, 26))
"""Flags beside a code point in the table: a word of its own; a digit; no beginning of a word; an index into the
expansions in its place; one of SIGNS; as if it were not there."""

SIGNS = "\\{} "
"""What LaTeX is read by; all white space counts as a space."""

DROP, DROP_GROUP = -1, -2
"""Instead of a number of arguments: a command that is no word, alone or with the group in braces behind it."""

_LAYOUT = """
left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm
quad qquad hspace vspace hfill enspace thinspace displaystyle textstyle scriptstyle limits nolimits
mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr boldsymbol bm operatorname mbox hbox fbox
text textbf textit textrm textsf texttt textnormal textsc emph underline rm bf it tt sf em
noindent par newline linebreak item nonumber notag
"""
_ALIASES = {
    "dfrac": "frac",
    "tfrac": "frac",
    "cfrac": "frac",
    "dbinom": "binom",
    "tbinom": "binom",
    "le": "leq",
    "ge": "geq",
    "ne": "neq",
    "to": "rightarrow",
    "dots": "ldots",
    "cdots": "ldots",
    "lbrace": "{",
    "rbrace": "}",
}
_ARGUMENTS = {"frac": 2, "binom": 2, "sqrt": 1}

_FNV_OFFSET, _FNV_PRIME, _BITS = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def hash_word(word: str) -> int:
    """Hash an ASCII word as the kernel does: FNV-1a over its code points (draft-eastlake-fnv, section 5)."""
    value = _FNV_OFFSET
    for letter in word:
        value = (value ^ ord(letter)) * _FNV_PRIME & _BITS
    return value


@cache
def fold_tables() -> tuple[Words, Words]:
    """Map each code point to what it counts as: 0 (separates), or its lower case with flags; and the expansions.

    A LONG entry is the place of its expansion among the second array: the length, then the entries.
    """
    table, expansions = _single_entries(), [0]
    for code in _decomposing():
        entries = [int(table[ord(part)]) for part in unicodedata.normalize("NFKD", chr(code))]
        if len(entries) == 1:
            table[code] = entries[0]
        elif any(entries):
            table[code] = LONG | np.uint32(len(expansions))
            expansions += [len(entries), *entries]
    return table, np.array(expansions, np.uint32)


@cache
def commands() -> tuple[Hashes, Hashes, Counts]:
    """List the commands that are more than a word: hashes (sorted), what they are hashed as, and their arguments."""
    known = {name.lower(): (name.lower(), DROP) for name in _LAYOUT.split()}
    known |= {name: (name, DROP_GROUP) for name in ("begin", "end", "label")}
    known |= {name: (name, count) for name, count in _ARGUMENTS.items()}
    known |= {name: (other, _ARGUMENTS.get(other, 0)) for name, other in _ALIASES.items() if other.isalpha()}
    known |= {name: (name, DROP) for name, other in _ALIASES.items() if not other.isalpha()}
    rows = sorted((hash_word(name), hash_word(other), count) for name, (other, count) in known.items())
    hashes, meant, counts = zip(*rows, strict=True)
    return np.array(hashes, np.uint64), np.array(meant, np.uint64), np.array(counts, np.int64)


def _single_entries() -> Words:
    """Give each code point's entry as if nothing decomposed."""
    table = letter_table().copy()  # the words of dedupe: letters, numbers and marks, lower-cased, some of them alone
    categories = [unicodedata.category(chr(code)) for code in range(len(table))]
    for kind, flag in (("N", DIGIT), ("M", MARK)):
        chosen = np.fromiter((name[0] == kind for name in categories), bool, len(table))
        table[chosen & (table > 0) & (table < ALONE)] |= flag
    hidden = np.fromiter((name == "Cf" for name in categories), bool, len(table))
    table[hidden] = HIDDEN
    blank = np.fromiter((chr(code).isspace() for code in range(0x3001)), bool, 0x3001)
    table[:0x3001][blank] = SIGN | np.uint32(ord(" "))
    for sign in SIGNS:
        table[ord(sign)] = SIGN | np.uint32(ord(sign))
    return table


def _decomposing() -> list[int]:
    """List the code points that NFKD writes otherwise."""
    return [code for code in range(0x80, 0x110000) if unicodedata.normalize("NFKD", chr(code)) != chr(code)]
