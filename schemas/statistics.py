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
    chosen_longer_by_community: dict[str, float]


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


class Statistics(Record):
    """What is in a release: all of its rows, those in `tail/` included. Shares lie between 0 and 1."""

    release: str
    build: str
    rows: int
    funnel: tuple[FunnelRow, ...]
    splits: dict[str, SplitSummary]
    communities: dict[str, int]
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
