"""Statistics: what `revealed stats` says of a release, as one JSON object."""

from schemas.manifest import FunnelRow, Record, SplitSummary


class Distribution(Record):
    """How whole numbers are distributed. Quantiles are exact: the least value that a share of the rows reaches."""

    rows: int
    mean: float
    min: int
    p5: int
    p25: int
    median: int
    p75: int
    p95: int
    max: int


class Lengths(Record):
    """Characters of prompts and replies, and how far length alone tells the chosen from the rejected one."""

    prompt_chars: Distribution
    chosen_chars: Distribution
    rejected_chars: Distribution
    chosen_longer: float
    """Share of pairs whose chosen reply has more characters."""
    same_length: float
    length_baseline: float
    """Accuracy of a judge who always takes the longer reply, and tosses a coin over equal ones."""


class Ages(Record):
    """Which of the two replies is older, among the pairs in which both times are known (`rows`)."""

    rows: int
    chosen_older: float | None
    chosen_newer: float | None
    median_hours: float | None
    """Hours between the two replies."""


class Acceptance(Record):
    """Share of pairs in which the asker accepted the chosen, or the rejected, reply."""

    chosen: float
    rejected: float


class Community(Record):
    """What one community gave to the release."""

    rows: int
    chosen_longer: float
    """Share of its pairs whose chosen reply has more characters."""
    one_vote: float
    """Share of its pairs decided by a margin of one."""
    confident: float
    """Share of its pairs in which the votes make it 95% sure that the chosen reply is the better one."""
    languages: dict[str, int]
    """{ISO 639 code of the prompt: rows}; empty where the recipe did not ask for languages."""
    replies_in_other_languages: int
    """Rows in which a reply's language is not the prompt's."""
    masked: int
    """Rows in which personal data was masked."""


class Statistics(Record):
    """What is in a release: all of its rows, those in `tail/` included. Shares lie between 0 and 1."""

    release: str
    build: str
    rows: int
    funnel: tuple[FunnelRow, ...]
    splits: dict[str, SplitSummary]
    communities: dict[str, Community]
    views: dict[str, int]
    """{published view: rows that meet its rules}."""
    licenses: dict[str, int]
    margin: Distribution
    margin_one: float
    """Share of pairs decided by one vote: the least certain ones."""
    chosen_score: Distribution
    rejected_score: Distribution
    lengths: Lengths
    survival: dict[int, float]
    """{max_length in tokens: share of pairs of which both conversations fit}; tokens are estimated."""
    pairs_per_prompt: Distribution
    ages: Ages
    accepted: Acceptance


class Corpus(Record):
    """What one part of a corpus gave to a release of continuations."""

    rows: int
    prefix_tokens: int
    suffix_tokens: int
    languages: dict[str, int]
    """{ISO 639 code of the document: rows}; empty where neither source nor recipe knows languages."""


class ContinuationStatistics(Record):
    """What is in a release of continuations: all of its rows, those in `tail/` included."""

    release: str
    build: str
    rows: int
    funnel: tuple[FunnelRow, ...]
    splits: dict[str, SplitSummary]
    communities: dict[str, Corpus]
    licenses: dict[str, int]
    documents: int
    blocks_per_document: Distribution
    hosts: int
    """Hosts of the documents' URLs; rows without one are of no host."""
    largest_hosts: dict[str, int]
    """{host: rows}, the twenty largest, the largest first."""
    modes: dict[str, int]
    """{how blocks were cut: rows}"""
    hard: dict[str, int]
    """{what makes a row's negatives hard: rows}"""
    prefix_tokens: Distribution
    suffix_tokens: Distribution
    prefix_chars: Distribution
    suffix_chars: Distribution
    window: int
    """Rows a window."""
    windows: int
    """Whole windows in all shards; rows in `tail/` are in none."""
