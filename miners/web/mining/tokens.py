"""Tokens as places in the text: where each token ends, in characters. What a token decodes to is never asked.

Tokenizers change case, drop spaces, and cut an emoji into bytes; the offsets they report overlap, leave gaps or stand
still. Here the tokens of a text always tile it: a token begins where the one before it ends, the first at 0, and the
last ends with the text. White space that a tokenizer drops belongs to the token behind it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from miners.text.characters import Characters, Integers, lay_out
from schemas.errors import FatalError, InputError

CHARACTERS_A_TOKEN = 4
"""Where no tokenizer is named. cl100k makes of real posts and chats 4% more tokens than this says."""

_EXPECTED = "a `tokenizer.json` of Hugging Face's tokenizers"
_PIECE = 1 << 19  # characters of a text given to a tokenizer at once: it needs some 200 bytes for each
_ROW = 40  # bits to the left of which the row stands in a key; below it a place in the text


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of some texts, one after another.

    offsets: text `i` has the tokens `offsets[i]:offsets[i + 1]`. ends: where each ends in its text, in characters;
    never falls within a text. ids: each token's id; None where the tokenizer has none.
    """

    offsets: Integers
    ends: Integers
    ids: npt.NDArray[np.int32] | None = None

    @property
    def counts(self) -> Integers:
        """Tokens of each text."""
        return np.diff(self.offsets)

    def locate(self, rows: Integers, tokens: Integers) -> Integers:
        """Say where the first `tokens` tokens of a text end, in characters."""
        last = self.offsets[rows] + tokens - 1
        return np.where(tokens > 0, self.ends[np.maximum(last, 0)] if len(self.ends) else 0, 0)

    def count(self, rows: Integers, characters: Integers) -> Integers:
        """Count the tokens that begin before a place; the reverse of `locate`, but for tokens of no width."""
        keys = make_keys(np.repeat(np.arange(len(self.counts)), self.counts), self.ends)
        ended = np.searchsorted(keys, make_keys(rows, characters)) - self.offsets[rows]
        return np.where(characters > 0, np.minimum(ended + 1, self.counts[rows]), 0)


class Tokenizer(Protocol):
    """Anything that says where the tokens of texts end."""

    has_ids: bool

    def tokenize(self, texts: pl.Series) -> Tokens:
        """Tokenize a column of texts, without nulls."""
        ...


def open_tokenizer(path: str | None) -> Tokenizer:
    """Open a `tokenizer.json`; None: every 4 characters are a token.

    Raises InputError where the file is not there or is no tokenizer; FatalError where `tokenizers` is not installed.
    """
    if path is None:
        return Estimate()
    try:
        status = Path(path).stat()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _EXPECTED) from None
    return _load(path, status.st_mtime_ns, status.st_size)


def make_keys(rows: Integers, characters: Integers) -> Integers:
    """Make of texts and places in them numbers that are ordered as they are."""
    return (rows << _ROW) | characters


class Estimate:
    """Every 4 characters are a token: for a first look, and where the trainer's tokenizer is not known."""

    has_ids = False

    def tokenize(self, texts: pl.Series) -> Tokens:
        """Tokenize a column of texts, without nulls."""
        lengths = texts.str.len_chars().cast(pl.Int64).to_numpy()
        counts = -(-lengths // CHARACTERS_A_TOKEN)
        offsets = lay_out(counts)
        places = np.arange(1, offsets[-1] + 1) - np.repeat(offsets[:-1], counts)
        return Tokens(offsets, np.minimum(places * CHARACTERS_A_TOKEN, np.repeat(lengths, counts)))


class HubTokenizer:
    """A tokenizer of Hugging Face's `tokenizers`; special tokens are not added, and nothing is truncated.

    sizes: bytes of text by token id where tokens keep every byte (byte-level BPE: GPT-2, Llama 3, Qwen); else None.
    With them, tokens are placed by adding up; that spares the tokenizer to keep offsets, which is a third of its time.
    """

    has_ids = True

    def __init__(self, encoder: Any) -> None:
        encoder.no_truncation()
        encoder.no_padding()
        encoder.encode_special_tokens = True  # `<|endoftext|>` in a page is text, not the control token
        if getattr(encoder.model, "dropout", None) is not None:
            encoder.model.dropout = None  # cuts the same text another way each time
        encoder.post_processor = None  # adds the special tokens, and takes spaces off the offsets
        self._encoder = encoder
        self.sizes = _list_sizes(encoder)

    def tokenize(self, texts: pl.Series) -> Tokens:
        """Tokenize a column of texts, without nulls."""
        known = texts.to_list()  # the tokenizer takes Python's strings and nothing else
        pieces = [text[at : at + _PIECE] for text in known for at in range(0, len(text) or 1, _PIECE)]
        if len(pieces) == len(known):
            return self._place(pieces)
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        return _join([self._place([piece]) for piece in pieces], lengths, Characters(texts).lengths)

    def _place(self, texts: Sequence[str]) -> Tokens:
        characters = Characters(pl.Series(texts, dtype=pl.String))
        return self._add_up(texts, characters) or self._ask_offsets(texts, characters)

    def _add_up(self, texts: Sequence[str], characters: Characters) -> Tokens | None:
        """Place tokens by their sizes; None where these do not add up to the texts, as after normalising."""
        if self.sizes is None:
            return None
        lists = [encoding.ids for encoding in self._encoder.encode_batch_fast(texts, add_special_tokens=False)]
        offsets = lay_out(np.fromiter(map(len, lists), np.int64, len(lists)))
        ids = np.fromiter(chain.from_iterable(lists), np.int32, offsets[-1])
        byte_ends = np.cumsum(self.sizes[ids])
        if not np.array_equal(np.concatenate([[0], byte_ends])[offsets], characters.byte_offsets):
            return None
        begins = np.repeat(characters.offsets[:-1], np.diff(offsets))
        return Tokens(offsets, characters.count_characters(byte_ends) - begins, ids)

    def _ask_offsets(self, texts: Sequence[str], characters: Characters) -> Tokens:
        """Take the ends that the tokenizer reports, and have them never fall, and the last one reach the end."""
        encodings = self._encoder.encode_batch(texts, add_special_tokens=False)
        offsets = lay_out(np.fromiter(map(len, encodings), np.int64, len(encodings)))
        ids = np.fromiter(chain.from_iterable(one.ids for one in encodings), np.int32, offsets[-1])
        spans = chain.from_iterable(chain.from_iterable(one.offsets for one in encodings))
        ends = np.fromiter(spans, np.int64, 2 * offsets[-1])[1::2]
        counts = np.diff(offsets)
        ends = np.minimum(ends, np.repeat(characters.lengths, counts))
        ends[offsets[1:][counts > 0] - 1] = characters.lengths[counts > 0]
        rows = np.repeat(np.arange(len(texts)), counts)
        return Tokens(offsets, np.maximum.accumulate(make_keys(rows, ends)) - (rows << _ROW), ids)


@lru_cache(maxsize=2)
def _load(path: str, _modified: int, _size: int) -> HubTokenizer:
    """Load a tokenizer, once a process and version of the file: it takes up to a second."""
    try:
        import tokenizers  # noqa: PLC0415 (what is slow to import is imported where it is used)
    except ImportError:
        raise FatalError(f"{path}: reading it needs a package; `pip install tokenizers` brings it") from None
    try:
        return HubTokenizer(tokenizers.Tokenizer.from_buffer(Path(path).read_bytes()))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _EXPECTED) from None
    except ValueError as error:
        raise InputError(path, f"is no tokenizer ({error})", _EXPECTED) from None


def _list_sizes(encoder: Any) -> Integers | None:
    """List the bytes that each id stands for, if it is a byte-level BPE: its vocabulary writes a byte as a letter.

    Whether a normaliser changes the text is seen when sizes do not add up; a space put before it, at once.
    """
    said = json.loads(encoder.to_str())
    before = said["pre_tokenizer"] or {}
    steps = before.get("pretokenizers", [before])
    levels = [step for step in steps if step.get("type") == "ByteLevel"]
    if said["model"]["type"] != "BPE" or not levels or any(step.get("add_prefix_space") for step in levels):
        return None
    vocabulary = encoder.get_vocab(with_added_tokens=True)
    added = {token["content"] for token in said["added_tokens"]}
    sizes = np.zeros(max(vocabulary.values(), default=0) + 1, np.int64)
    for token, number in vocabulary.items():
        sizes[number] = len(token.encode()) if token in added else len(token)
    return sizes


def _join(parts: Sequence[Tokens], pieces: Integers, texts: Integers) -> Tokens:
    """Make of the tokens of single pieces those of the texts; both are given by their lengths in characters."""
    counts = np.maximum(-(-texts // _PIECE), 1)
    firsts = lay_out(counts)
    begins = lay_out(pieces)[:-1]
    begins -= np.repeat(begins[firsts[:-1]], counts)
    ends = np.concatenate([part.ends + begin for part, begin in zip(parts, begins, strict=True)])
    offsets = lay_out(np.array([len(part.ends) for part in parts]))[firsts]
    return Tokens(offsets, ends, np.concatenate([part.ids for part in parts if part.ids is not None]))
