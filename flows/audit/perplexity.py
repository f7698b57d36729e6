"""Perplexity: by how much a prefix makes a suffix likelier to a causal language model.

The score of a pair is (log P(suffix | prefix) - log P(suffix)) / tokens, in nats a token: what the prefix tells about
the suffix, whatever the suffix is like by itself. (A bare perplexity ranks dull suffixes first.) Looked at are the last
`PREFIX_TOKENS` of the prefix and the first `SUFFIX_TOKENS` of the suffix. Both are put into tokens alone, so that the
same tokens are scored with and without a prefix.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from flows.audit.scoring import OK, SCORES

PREFIX_TOKENS = 512
SUFFIX_TOKENS = 128

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Question:
    """Asks how likely `tokens` are after `context`."""

    context: Tokens
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Sum of the log-probabilities, in nats, where the state is `ok`; else none, and why not."""

    value: float | None
    state: str


class LanguageModel(Protocol):
    """What a causal language model is asked."""

    @property
    def name(self) -> str:
        """Name for the report."""
        ...

    @property
    def start(self) -> Tokens:
        """What stands before every text (BOS), one token; empty where the model has no such token."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Put texts into tokens, without special ones."""
        ...

    def rate(self, questions: Sequence[Question]) -> Iterator[Likelihood]:
        """Answer questions in their order; each has at least one token of context."""
        ...


@dataclass(frozen=True, slots=True)
class PerplexityScorer:
    """Scores by the gain in log-likelihood. threshold: the prefix tells nothing. margin: in nats a token."""

    language_model: LanguageModel
    method: str = "perplexity"
    threshold: float = 0.0
    margin: float = 0.05

    @property
    def model(self) -> str:
        """Name of the language model."""
        return self.language_model.name

    def score(self, texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
        """Rate every candidate alone, once, and after each prefix that it is paired with."""
        start = self.language_model.start
        unscored = 0 if start else 1  # without a start, a suffix's own first token stands before the others
        prefixes = [tokens[-PREFIX_TOKENS:] for tokens in self.language_model.tokenize(texts["prefix"].to_list())]
        suffixes = [tokens[:SUFFIX_TOKENS] for tokens in self.language_model.tokenize(texts["suffix"].to_list())]
        candidates = pairs["candidate"].unique().sort().to_list()
        alone = [Question(start + suffixes[at][:unscored], suffixes[at][unscored:]) for at in candidates]
        after = [
            Question(start + prefixes[row] + suffixes[at][:unscored], suffixes[at][unscored:])
            for row, at in pairs.select("row", "candidate").iter_rows()
        ]
        base = dict(zip(candidates, self._rate(alone), strict=True))
        gains = [
            _gain(given, base[at], len(question.tokens))
            for given, at, question in zip(self._rate(after), pairs["candidate"].to_list(), after, strict=True)
        ]
        return pl.DataFrame(gains, schema=SCORES, orient="row")

    def _rate(self, questions: Sequence[Question]) -> list[Likelihood]:
        """Rate what can be rated; a suffix without a token to score is `unparseable`."""
        askable = [question for question in questions if question.tokens and question.context]
        rated = self.language_model.rate(askable)
        nothing = Likelihood(None, "unparseable")
        return [next(rated) if question.tokens and question.context else nothing for question in questions]


def _gain(given: Likelihood, alone: Likelihood, tokens: int) -> tuple[float | None, str]:
    if given.value is None or alone.value is None:
        return None, given.state if given.value is None else alone.state
    gain = (given.value - alone.value) / tokens
    return (round(gain, 6), OK) if math.isfinite(gain) else (None, "unparseable")
