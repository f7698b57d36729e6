"""Reports: what an audit of continuity found, as one record."""

from pydantic import Field

from schemas.manifest import Record


class Share(Record):
    """A share of so many, and between which figures the truth lies (95%)."""

    share: float | None
    low: float
    high: float
    of: int


class Retrieval(Record):
    """How well true suffixes are found among the candidates; counted are rows of which every pair has a score."""

    rows: int
    candidates: float | None
    """Suffixes a prefix chooses from, the true one included; the mean."""
    accuracy: Share
    """Of the prefixes for which the true suffix comes first; one of several first ones counts as its part."""
    chance: float | None
    """What the accuracy would be if scores told nothing."""
    mrr: Share
    """Mean of 1 / rank of the true suffix."""
    false_positives: int
    """True suffixes that do not pass for continuations."""
    false_negatives: int
    """Negatives that might be continuations."""


class Finding(Record):
    """A pair that a person should read."""

    why: str
    uid: str
    group_id: str
    mode: str
    host: str | None
    score: float | None
    """Of the row's own suffix."""
    other_uid: str | None = None
    other_group_id: str | None = None
    other_score: float | None = None
    """Of the suffix that is a negative here."""
    prefix_end: str
    suffix_start: str
    """Of the suffix that is doubted: the row's own for a false positive, the negative's for a false negative."""


class ContinuityReport(Record):
    """What an audit found."""

    release: str
    build: str
    method: str
    model: str | None
    seed: int
    rows: int
    batch: int
    pairs: int
    threshold: float
    margin: float
    states: dict[str, int]
    """{state of a score: pairs}; pairs without a score count nowhere else."""
    retrieval: Retrieval
    by_mode: dict[str, Retrieval]
    by_host: dict[str, Retrieval]
    """Of the hosts with the most rows."""
    true_pass: Share
    """Of the true suffixes that pass for continuations: score above the threshold."""
    negatives_pass: Share
    features: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """{feature: (mean of true suffixes, mean of negatives)}"""
    false_positives: tuple[Finding, ...]
    """The worst of them, the worst first."""
    false_negatives: tuple[Finding, ...]
