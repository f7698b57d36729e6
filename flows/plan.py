"""The plan of one build: its recipe, its warehouse and its engine, and how works are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.engine import Engine, Made
from flows.entries import ResolvedEntry
from flows.work import Stage, Work
from schemas.fingerprints import Json
from schemas.inputs import Route
from schemas.manifest import Partition
from schemas.recipe import Recipe
from warehouse.partitions import PLAIN, Shape
from warehouse.root import Root

CORPUS = "corpus"
"""How the funnel calls all sources together."""

Inputs = Mapping[str, tuple[Partition, ...]]


@dataclass(frozen=True)
class Plan:
    """What the steps of a build share.

    sample: share of groups to look at. folder: where relative paths start. entries: the inputs.
    route: the one that the steps are about, where the recipe has inputs of several; else None.
    """

    recipe: Recipe
    root: Root
    engine: Engine
    sample: float = 1.0
    folder: Path = field(default_factory=Path.cwd)
    entries: tuple[ResolvedEntry, ...] = ()
    route: Route | None = None

    @property
    def whole(self) -> str:
        """How the funnel calls all sources of these steps together."""
        return CORPUS if self.route is None else self.route.value

    def of(self, route: Route) -> "Plan":
        """Give the plan of one route: its inputs only."""
        own = tuple(entry for entry in self.entries if entry.source.route == route)
        return replace(self, entries=own, route=None if len(own) == len(self.entries) else route)

    def work(
        self,
        stage: Stage,
        given: Mapping[str, Json],
        inputs: Inputs,
        *,
        bucket: int | None = None,
        shape: Shape = PLAIN,
        hints: Mapping[str, Json] | None = None,
    ) -> Work:
        """Describe one partition to be made on this warehouse."""
        kept = self.recipe.limits.kept_drops
        return Work(self.root.url, stage, given, inputs, bucket, shape, kept, hints or {})

    def each(self, stage: Stage, made: Mapping[str, Made], given: Mapping[str, Json], *, shape: Shape = PLAIN) -> Made:
        """Run a stage that makes partition n of a source from partition n of each input. made: {input: its Made}."""
        works = {
            source: [
                self.work(stage, given, dict(zip(made, ((part,) for part in parts), strict=True)), shape=shape)
                for parts in zip(*(one[source] for one in made.values()), strict=True)
            ]
            for source in next(iter(made.values()))
        }
        return self.engine.stage(works)

    def corpus(self, works: Sequence[Work]) -> tuple[Partition, ...]:
        """Run a stage over all sources together."""
        return self.engine.stage({self.whole: works})[self.whole]

    def each_of(self, like: Made, describe: Callable[[str, int], Work]) -> Made:
        """Run a stage that makes one partition for each of `like`. describe: (source, number) -> work."""
        return self.engine.stage(
            {source: [describe(source, at) for at in range(len(parts))] for source, parts in like.items()}
        )


def power_of_two(least: float) -> int:
    """Round up to a power of two, at least 1 and at most 512: every bucket opens every file.

    >>> [power_of_two(n) for n in (0, 1, 3, 2000)]
    [1, 1, 4, 512]
    """
    number = 1
    while number < min(least, 512):
        number *= 2
    return number


def flat(made: Made) -> tuple[Partition, ...]:
    """Give the partitions of all sources, in the order of the sources' names."""
    return tuple(part for source in sorted(made) for part in made[source])
