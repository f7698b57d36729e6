"""What a recipe may say of the web route: which documents are fit, how they are cut, and in which order they stand."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.sections import Section, Share


class Documents(Section):
    """Which documents are fit to be cut. Each filter that is on drops documents with a reason; none is by default."""

    min_chars: Annotated[int, Field(ge=0)] = 0
    max_chars: Annotated[int, Field(ge=1)] | None = None
    min_quality: float | None = None
    """Of the source's own score (`quality`)."""
    languages: tuple[str, ...] = ()
    min_language_score: Share = 0.5
    max_repeated_lines: Share | None = None
    """Share of lines that stand in the document before (Gopher, Rae et al. 2021, table A1)."""
    max_symbols: Share | None = None
    """Share of characters that are neither letters, digits, white space nor inside a formula."""
    min_formulas: Annotated[float, Field(ge=0)] | None = None
    """Formulas a thousand characters."""
    boilerplate: tuple[str, ...] = ()
    """Phrases; a document that begins with one or is little else is dropped."""
    sites: tuple[str, ...] = ()
    """Hosts to keep, subdomains included (`stackexchange.com`); empty keeps all."""
    without_sites: tuple[str, ...] = ()
    """Hosts, or hosts with a path prefix (`example.com/forum`), to leave out."""
    model: str | None = None
    """A classifier made by `revealed quality train`: its folder, relative to the recipe."""
    min_model_score: Share = 0.5


class Blocks(Section):
    """How documents become prefixes and suffixes. Blocks never cross a document, and lose no character of it."""

    tokenizer: str | None = None
    """A `tokenizer.json` of Hugging Face's tokenizers, relative to the recipe; none: 4 characters count as a token."""
    prefix: Annotated[int, Field(ge=1)] = 512
    suffix: Annotated[int, Field(ge=1)] = 1024
    mode: Literal["fixed", "random", "sentence"] = "fixed"
    """Where a block is cut. fixed: behind `prefix` tokens. random: at a token drawn by hash from `prefix_range`.
    sentence: at the end of a sentence nearest to `prefix` tokens."""
    prefix_range: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """With random: least and most tokens of the prefix; the block keeps its length."""
    formulas: Literal["allow", "avoid"] = "allow"
    """avoid: no cut or block end inside a formula, an environment or a code fence."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """Tokens from one block's start to the next one's; default: the block's length, so that blocks do not overlap."""
    max_per_document: Annotated[int, Field(ge=1)] | None = None
    """Blocks of one document; beyond it those with the smallest hash stay."""
    tolerance: Annotated[int, Field(ge=0)] = 0
    """By how many tokens the last block of a document may be shorter."""
    store_ids: bool = False
    """Keep the token ids, in `prefix_ids` and `suffix_ids`."""


class Windows(Section):
    """The order of rows within a release of continuations: the rows of a window are each other's negatives."""

    size: Annotated[int, Field(ge=2)] = 32
    """Rows a window; the trainer's batch. Row groups are whole windows."""
    hard: Share = 0.0
    """Share of a window's rows that are hard negatives for each other."""
    hard_by: Literal["same_host", "same_document"] = "same_host"
    """What makes them hard. same_document: blocks of one document that lie at least one block apart."""
