"""Recipes: what a build is to do, as YAML. Unknown keys are refused with the nearest right one."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from schemas.chat_sections import Cascade, Feedback, Hindsight, Judge, Refusals, Turns
from schemas.forum_sections import Custom, Filters, Hygiene, Pairs, Scores
from schemas.inputs import Route
from schemas.sections import Section, Share, check, read_section
from schemas.web_sections import Blocks, Documents, Windows

__all__ = [
    "Benchmark",
    "Blocks",
    "Cascade",
    "Custom",
    "Decontaminate",
    "Dedupe",
    "Documents",
    "Entry",
    "Feedback",
    "Filters",
    "Hindsight",
    "Hygiene",
    "Judge",
    "Licenses",
    "Limits",
    "Pairs",
    "Partitions",
    "Recipe",
    "Refusals",
    "Release",
    "Scores",
    "Section",
    "Share",
    "Split",
    "Turns",
    "Windows",
    "check",
    "read_recipe",
]


class Entry(Section):
    """One input: a source and where its files are."""

    source: str
    """Name of the source, as `revealed sources` lists it."""
    path: str
    """File, folder, glob or URL; relative to the recipe's folder. A folder or glob of many sites gives many entries."""
    name: str | None = None
    """How the funnel calls it; default: the file's or folder's name."""
    community: str | None = None
    """Under which community its posts are filed; default: the name without a trailing date."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """The source's own options."""


class Partitions(Section):
    """How the work is cut. No choice here changes a byte of the release."""

    slice_mib: Annotated[float, Field(gt=0)] = 64
    """Input read by one task, in MiB of uncompressed bytes."""
    bucket_mib: Annotated[float, Field(gt=0)] = 64
    """Size aimed at for one hash bucket of a shuffle, in MiB of uncompressed input."""


class Licenses(Section):
    """The licence gate."""

    allow: tuple[str, ...] = ()
    """SPDX ids, `*` standing for any letters (`CC-BY-SA-*`); posts under others are dropped. Empty allows all."""


class Benchmark(Section):
    """One benchmark file to decontaminate against."""

    preset: str
    """What the file is, as `revealed sources --benchmarks` lists it; `custom` reads `columns`."""
    path: str
    """The file, relative to the recipe."""
    columns: tuple[str, ...] = ()
    """With `custom`: columns whose texts are matched (`a.b` for nested ones)."""


class Decontaminate(Section):
    """Rows that overlap with a benchmark."""

    benchmarks: tuple[Benchmark, ...] = ()
    ngram: Annotated[int, Field(ge=3)] = 13
    """Words that must agree in a row (GPT-3, Brown et al. 2020, appendix C); shorter items are matched whole."""
    action: Literal["drop", "flag"] = "drop"


class Dedupe(Section):
    """MinHash-LSH over the threads' questions, documents or conversations."""

    bands: Annotated[int, Field(ge=1)] = 14
    rows: Annotated[int, Field(ge=1)] = 8
    shingle: Annotated[int, Field(ge=1)] = 5
    """Words (characters, in scripts without spaces) a shingle."""
    seed: int = 1
    threshold: Share = 0.7
    """Estimated Jaccard from which two texts count as near-duplicates."""
    containment: Share | None = 0.8
    """Share of the shingles of the smaller of two texts that the other has too, from which they count as one where
    their routes differ: a thread's question in a crawled page. null looks for none."""
    prefer: tuple[Route, ...] = (Route.FORUMS, Route.WEB, Route.CHATS)
    """Of copies on several routes those on the first of these survive, whatever `keep` says; others come last."""
    keep: tuple[str, ...] = ("newest", "score", "license", "priority")
    """Who survives of a cluster: criteria in order."""


class Split(Section):
    """Shares of the splits, by hash of the cluster; they must sum to 1."""

    train: Share = 0.9
    validation: Share = 0.05
    test: Share = 0.05

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:  # noqa: PLR2004 (rounding of three decimals)
            raise ValueError(f"the shares sum to {total:g}; they must sum to 1")
        return self

    def shares(self) -> dict[str, float]:
        """{split: share}, in their fixed order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class Release(Section):
    """How the shards are laid."""

    files: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Shards a split. auto: the most of 128, 64, 32, 16 and 8 that leaves `min_rows` in each; fewer for tiny splits,
    and up to 1024 for those of millions."""
    row_groups: Annotated[int, Field(ge=1)] = 10
    """Equal row groups a shard."""
    min_rows: Annotated[int, Field(ge=1)] = 1000
    """Rows a shard has at least when `files` is auto and the split is large enough."""


class Limits(Section):
    """When a build stops itself."""

    max_failure_rate: Share = 0.01
    """Share of an input's rows that may be quarantined."""
    kept_drops: Annotated[int, Field(ge=0)] = 1000
    """Dropped rows kept for reading, a reason and partition; all are counted."""


class Recipe(Section):
    """A build, from inputs to release."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the release."""
    inputs: Annotated[tuple[Entry, ...], Field(min_length=1)]
    seed: int = 0
    """Mixed into every hash that stands for chance."""
    salt: str = "revealed"
    """Mixed into every author hash."""
    view: str = "worldpm"
    """Which pairs of the store are released, as `revealed sources --views` lists them."""
    partitions: Partitions = Partitions()
    custom: Custom | None = None
    """What `view: custom` means."""
    licenses: Licenses = Licenses()
    filters: Filters = Filters()
    pairs: Pairs = Pairs()
    hygiene: Hygiene = Hygiene()
    scores: Scores | None = None
    documents: Documents = Documents()
    blocks: Blocks = Blocks()
    windows: Windows = Windows()
    turns: Turns = Turns()
    judge: Judge = Judge()
    hindsight: Hindsight = Hindsight()
    refusals: Refusals = Refusals()
    feedback: Feedback = Feedback()
    decontaminate: Decontaminate = Decontaminate()
    dedupe: Dedupe = Dedupe()
    splits: Split = Split()
    release: Release = Release()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _custom_is_declared(self) -> "Recipe":
        if (self.view == "custom") != (self.custom is not None):
            raise ValueError("`view: custom` and a section `custom` go together")
        return self

    @property
    def max_per_author(self) -> int | None:
        """Cap of the custom view on the pairs of one author."""
        return self.custom.max_per_author if self.custom else None

    def release_name(self, sample: float, route: str | None = None) -> str:
        """Say under which name a build is published; that of a sample (share below 1) never takes the whole's place.

        route: where inputs lead to signals of several kinds, each of these is a release of its own.
        """
        parts = (self.name, *([route] if route else []), *(["sample"] if sample < 1 else []))
        return "-".join(parts)


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; raises RecipeError with file, line where known, key and what would be right."""
    return read_section(Recipe, path)
