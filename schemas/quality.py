"""Quality classifiers: the recipe from which `revealed quality train` makes one, and what stands beside the model."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.manifest import Record
from schemas.sections import Section

MANIFEST = "manifest.json"
"""Name of the QualityManifest in a model's folder."""


class Texts(Section):
    """Examples of one kind."""

    path: str
    """File or glob, relative to the recipe: plain text (.txt, .md, .tex), JSON Lines (.jsonl, .ndjson), Parquet or
    Arrow (.arrow, such as a warehouse's partitions)."""
    name: str | None = None
    """How the report calls them; default: the path."""
    column: str = "text"
    """Of a table: the column that holds the texts; `a.b` is field b of a, of every item where one of them is a list."""
    unit: Literal["lines", "paragraphs", "file"] = "paragraphs"
    """Of plain text: what counts as a text."""
    use: Literal["both", "train", "evaluate"] = "both"
    """evaluate: the model never sees them, which shows how it does on texts of another origin."""

    @property
    def title(self) -> str:
        """How the report calls them."""
        return self.name or self.path


class Classifier(Section):
    """fastText's settings (Joulin et al. 2016, arXiv 1607.01759), and how much of a text it reads."""

    dim: Annotated[int, Field(ge=1, le=1000)] = 32
    word_ngrams: Annotated[int, Field(ge=1, le=6)] = 2
    epochs: Annotated[int, Field(ge=1)] = 5
    rate: Annotated[float, Field(gt=0)] = 0.5
    """Learning rate."""
    min_count: Annotated[int, Field(ge=1)] = 2
    """Words met less often are no features."""
    buckets: Annotated[int, Field(ge=1)] = 1 << 18
    """Into which n-grams of words are hashed; each costs 4 x `dim` bytes."""
    max_chars: Annotated[int, Field(ge=1)] = 4000
    """Read of a text's beginning, in training and afterwards."""


class QualityRecipe(Section):
    """A classifier, from its examples to its folder."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the model, and of its folder beside the recipe."""
    positives: Annotated[tuple[Texts, ...], Field(min_length=1)]
    """What is to score high."""
    negatives: Annotated[tuple[Texts, ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the texts on which the model is evaluated, by hash of the text."""
    min_chars: Annotated[int, Field(ge=0)] = 100
    """Shorter texts are no examples."""
    classifier: Classifier = Classifier()


class InputReport(Record):
    """What became of one input's texts: `texts == sum(dropped) + train + held_out`."""

    positive: bool
    files: dict[str, str]
    """{path relative to the recipe: sha256}"""
    texts: int
    dropped: dict[str, int]
    """too_short; copy: of an earlier text; in_both: among positives and negatives; not_drawn: the other kind has
    fewer."""
    train: int
    held_out: int
    accepted: float | None
    """Share of the held-out texts that score at least 0.5."""
    mean_score: float | None
    """Of the held-out texts."""


class Point(Record):
    """What a threshold would do to the held-out texts."""

    threshold: float
    precision: float | None
    """Of those that score at least so much, the share of positives; None where there are none."""
    recall: float
    f1: float
    rejected: float
    """Share of the negatives that score less."""


class Metrics(Record):
    """How the model does on the held-out texts."""

    positives: int
    negatives: int
    at_half: Point
    """At a threshold of 0.5."""
    auc: float
    """Probability that a positive scores higher than a negative; ties count half."""
    curve: tuple[Point, ...]


class QualityManifest(Record):
    """A classifier and how it came to be. The same texts and recipe give the same bytes with the same fastText."""

    name: str
    recipe: dict[str, object]
    model: str
    """File in the same folder."""
    model_bytes: int
    model_sha256: str
    fasttext: str
    """Version of fasttext-community."""
    max_chars: int
    inputs: dict[str, InputReport]
    metrics: Metrics
