"""One JSON array that fills a file of any size: its elements are read as lines, without holding the array.

The brackets around it and the commas between its elements are replaced, byte for byte, by what separates lines, so that
an element's offset is its place in the file. Strings are told from structure as RFC 8259 (sections 2 and 7) has it.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from miners.formats.streams import DamageError, stream_file

_QUOTE, _ESCAPE, _COMMA, _LINE, _SPACE = b'"\\,\n '
_OPENING, _CLOSING = (np.frombuffer(brackets, np.uint8) for brackets in (b"[{", b"]}"))
_BLANK = b" \t\r\n\xef\xbb\xbf"  # and a byte-order mark

_Places = npt.NDArray[np.int64]


def holds_array(path: str) -> bool:
    """Tell by its first character whether a file is one array."""
    with closing(stream_file(path)) as blocks:
        try:
            head = next((text for block in blocks if (text := block.lstrip(_BLANK))), b"")
        except DamageError:
            return False  # its reader finds it again, and tells
    return head.startswith(b"[")


def split_elements(blocks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Put each element on a line of its own; the blocks are as long as those that came."""
    state = _State()
    for block in blocks:
        yield state.split(block)


@dataclass(slots=True)
class _State:
    """Where a block ends: inside a string or not, behind how many backslashes, and inside how many brackets."""

    quoted: bool = False
    escapes: int = 0
    depth: int = 0

    def split(self, block: bytes) -> bytes:
        text = np.frombuffer(block, np.uint8).copy()
        quotes = self._find_quotes(text)
        opens, closes = np.isin(text, _OPENING), np.isin(text, _CLOSING)
        places = np.flatnonzero(opens | closes | (text == _COMMA))
        outside = (np.searchsorted(quotes, places) + self.quoted) % 2 == 0
        places = places[outside]
        steps = opens[places].astype(np.int64) - closes[places]
        depths = self.depth + np.cumsum(steps)
        text[text == _LINE] = _SPACE  # none stands in a string
        text[places[(steps == 0) & (depths == 1)]] = _LINE
        text[places[depths - np.maximum(steps, 0) <= 0]] = _SPACE
        self.quoted ^= len(quotes) % 2 == 1
        self.depth = int(depths[-1]) if len(depths) else self.depth
        return text.tobytes()

    def _find_quotes(self, text: npt.NDArray[np.uint8]) -> _Places:
        """Find the quotation marks that begin or end a string: those behind an even number of backslashes."""
        quotes = np.flatnonzero(text == _QUOTE)
        others = np.flatnonzero(text != _ESCAPE)
        before = np.searchsorted(others, quotes) - 1
        last = np.where(before >= 0, others[before], -1) if len(others) else np.full(len(quotes), -1)
        runs = quotes - 1 - last + np.where(last < 0, self.escapes, 0)
        self.escapes = len(text) - 1 - int(others[-1]) if len(others) else self.escapes + len(text)
        found: _Places = quotes[runs % 2 == 0]
        return found
