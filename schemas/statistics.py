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


class LabelShare(Record):
    """How many turns have a label. The interval is one of 95%, wider where few users give many turns."""

    rows: int
    share: float
    low: float
    high: float


class Labels(Record):
    """The labels of some of the turns."""

    rows: int
    shares: dict[str, LabelShare]
    """{category: how many of these turns have it}"""


class Shift(Record):
    """One label's share, before and now."""

    label: int
    old: float
    new: float
    difference: float
    low: float
    high: float
    """Bounds of the difference, 19 times of 20 (Newcombe 1998, method 10)."""
    effect: float
    """Cohen's h."""
    alarming: bool


class Difference(Record):
    """How the labels of two builds differ. p_value: of Pearson's chi-square over all labels. shifts: by label."""

    old_rows: int
    new_rows: int
    """Turns that are compared."""
    old_size: float
    new_size: float
    """As many independent turns say as much as these do: the fewer, the more alike a user's are."""
    statistic: float
    p_value: float
    shifts: tuple[Shift, ...]
    alarming: bool
    """Whether someone should look: a label's share shifted, and not by chance."""


class Said(Record):
    """What judges said in a build: {label: turns}, and who they were."""

    rubric: str
    judges: tuple[str, ...]
    labels: dict[int, int]


class Drift(Record):
    """What the judges of a build said, beside what those of the build said that it took the place of."""

    previous: str
    """The build before."""
    before: Said
    now: Said
    only_new: bool
    """Whether, of this build, only the turns are compared that the build before did not have; else all are."""
    difference: Difference | None
    """None where the labels are of two rubrics, and do not compare."""


class Collection(Record):
    """What one collection of conversations gave to a release of feedback."""

    rows: int
    languages: dict[str, int]
    """{language of the query: rows}, as `FeedbackStatistics.languages`."""
    masked: int
    """Rows of conversations in which personal data was masked."""


class UserDiversity(Record):
    """How the rows that have a user are spread over users; figures are null where none has."""

    users: int
    rows_without: int
    rows_per_user: Distribution | None
    top_hundredth: float | None
    """Share of the rows with a user that the 1% of users with the most rows have; at least one user."""
    top_tenth: float | None
    gini: float | None
    """0 where all users give as many rows, near 1 where one gives all."""


class FeedbackStatistics(Record):
    """What is in a release of feedback: all of its rows, those in `tail/` included."""

    release: str
    build: str
    rows: int
    funnel: tuple[FunnelRow, ...]
    splits: dict[str, SplitSummary]
    communities: dict[str, Collection]
    licenses: dict[str, int]
    judged: dict[str, LabelShare]
    """{category: what the judge said of all turns it was asked about, neutral ones included}; empty where the build's
    partitions are gone."""
    failures: dict[str, int]
    """{state: turns whose asking ended so}"""
    published: dict[str, float]
    """{category: share that the view's paper reports of its first pass}; empty where it reports none."""
    labels: dict[str, LabelShare]
    """{category: released rows}"""
    labels_by: dict[str, dict[str, Labels]]
    """{`language`, `model`, `country` or `turn`: {value: its labels}}, the commonest value first; turns by their place
    from 0, in ranges, in their order. Of all turns, and by what the judge said, as `judged`; of the released ones, as
    `labels`, where the build's partitions are gone. A turn of which a value is not known counts nowhere there."""
    drift: Drift | None = None
    """None where no build was published before this one, or partitions of either are gone."""
    better: int | None
    """Rows with a later reply that pleased where theirs did not: candidates for pairs; null in releases that were made
    before they were looked for."""
    origins: dict[str, int]
    judges: dict[str, int]
    """{judge's model: rows}"""
    rubrics: dict[str, int]
    languages: dict[str, int]
    """{ISO 639 code of the query: rows}, the commonest first, as models and countries are. Where the recipe did not ask
    for languages, the log's own word for that of the conversation; empty where it has none."""
    models: dict[str, int]
    """{model that wrote the response: rows}"""
    countries: dict[str, int]
    conversations: int
    rows_per_conversation: Distribution
    turn: Distribution
    """Place of the response among those of its conversation, from 0."""
    prompt_chars: Distribution
    response_chars: Distribution
    feedback_chars: Distribution
    users: UserDiversity
