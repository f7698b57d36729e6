"""Statistics of a release of pairs, from the columns of its shards: exact, in memory that its size hardly moves.

Every measure is a whole number with few distinct values (votes, characters, minutes), so a shard becomes a table of
values and how often each occurs; such tables add up, and every mean, share and quantile is read from their sum. Only
`pairs_per_prompt` holds something a prompt: a 64-bit hash and a count.
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from schemas.manifest import ReleaseManifest
from schemas.statistics import Acceptance, Ages, Community, Lengths, Statistics
from warehouse.counting import COUNTS, add_up, count_measures, distribution, of, rows_a_group, shares
from warehouse.root import Root
from warehouse.shards import canonical_shards, read_columns

MAX_LENGTHS = (512, 1024, 2048, 4096)
"""Token limits that reward-model trainers commonly set as `max_length`."""

_APART = pl.col("chosen_created_at") - pl.col("rejected_created_at")

_MEASURES: Mapping[str, pl.Expr] = MappingProxyType(
    {
        "margin": pl.col("margin"),
        "chosen_score": pl.col("chosen_score"),
        "rejected_score": pl.col("rejected_score"),
        "prompt_chars": pl.col("prompt_chars"),
        "chosen_chars": pl.col("chosen_chars"),
        "rejected_chars": pl.col("rejected_chars"),
        "longer": (pl.col("chosen_chars") - pl.col("rejected_chars")).sign(),
        "tokens": pl.max_horizontal("chosen_tokens", "rejected_tokens"),
        "newer": _APART.dt.total_milliseconds().sign(),
        "minutes_apart": _APART.dt.total_minutes().abs(),
        "chosen_accepted": pl.col("chosen_accepted"),
        "rejected_accepted": pl.col("rejected_accepted"),
    }
)
_OF_COMMUNITY: Mapping[str, pl.Expr] = MappingProxyType(
    {
        "rows": pl.col("community").is_not_null(),
        "chosen_longer": pl.col("chosen_chars") > pl.col("rejected_chars"),
        "one_vote": pl.col("margin") == 1,
        "confident": pl.col("confidence") >= 0.95,  # noqa: PLR2004 (the field's usual threshold)
        "masked": pl.col("pii") > 0,
        "elsewhere": (pl.col("language") != pl.col("chosen_language"))
        | (pl.col("language") != pl.col("rejected_language")),
    }
)
"""What is counted in each community."""

_COLUMNS = sorted(
    {name for expr in (*_MEASURES.values(), *_OF_COMMUNITY.values()) for name in expr.meta.root_names()}
    | {"community", "views"}
)

_COMMUNITIES = pl.Schema({"community": pl.String} | dict.fromkeys(_OF_COMMUNITY, pl.UInt64))
_LANGUAGES = pl.Schema({"community": pl.String, "language": pl.String, "count": pl.UInt64})
_VIEWS = pl.Schema({"view": pl.String, "count": pl.UInt64})


def release_statistics(root: Root, manifest: ReleaseManifest) -> Statistics:
    """Describe a release of pairs, a shard at a time; raises CorruptError where a shard cannot be read."""
    counts, communities = pl.DataFrame(schema=COUNTS), pl.DataFrame(schema=_COMMUNITIES)
    languages, views = pl.DataFrame(schema=_LANGUAGES), pl.DataFrame(schema=_VIEWS)
    for shard in canonical_shards(manifest):
        rows = read_columns(root, manifest, shard, _COLUMNS)
        counts = add_up([counts, *count_measures(rows, _MEASURES)], ["measure", "value"])
        communities = add_up([communities, _count_by_community(rows)], ["community"])
        languages = add_up([languages, _count_languages(rows)], ["community", "language"])
        views = add_up([views, _count_views(rows)], ["view"])
    newer, longer = shares(counts, "newer"), shares(counts, "longer")
    margins, tokens = of(counts, "margin"), of(counts, "tokens")
    return Statistics(
        release=manifest.name,
        build=manifest.build,
        rows=int(margins["count"].sum()),
        funnel=manifest.funnel,
        splits=manifest.splits,
        communities=_describe_communities(communities, languages),
        views=dict(views.sort("view").iter_rows()),
        licenses=manifest.licenses,
        margin=distribution(margins),
        margin_one=shares(counts, "margin").get(1, 0.0),
        chosen_score=distribution(of(counts, "chosen_score")),
        rejected_score=distribution(of(counts, "rejected_score")),
        lengths=_describe_lengths(counts, longer),
        survival={most: _share(tokens, pl.col("value") <= most) for most in MAX_LENGTHS},
        pairs_per_prompt=distribution(rows_a_group(root, manifest)),
        ages=_describe_ages(of(counts, "minutes_apart"), newer),
        accepted=Acceptance(
            chosen=shares(counts, "chosen_accepted").get(1, 0.0),
            rejected=shares(counts, "rejected_accepted").get(1, 0.0),
        ),
    )


def _count_by_community(rows: pl.DataFrame) -> pl.DataFrame:
    counts = [expr.fill_null(value=False).cast(pl.UInt64).sum().alias(name) for name, expr in _OF_COMMUNITY.items()]
    return rows.group_by("community").agg(counts)


def _count_languages(rows: pl.DataFrame) -> pl.DataFrame:
    known = rows.filter(pl.col("language").is_not_null())
    return known.group_by("community", "language").agg(count=pl.len().cast(pl.UInt64))


def _count_views(rows: pl.DataFrame) -> pl.DataFrame:
    met = rows.select(view=pl.col("views").explode()).drop_nulls()
    return met.group_by("view").agg(count=pl.len().cast(pl.UInt64))


def _describe_communities(counts: pl.DataFrame, languages: pl.DataFrame) -> dict[str, Community]:
    spoken: dict[str, dict[str, int]] = {}
    for community, language, count in languages.sort("count", "language", descending=[True, False]).iter_rows():
        spoken.setdefault(community, {})[language] = count
    return {
        row["community"]: Community(
            rows=row["rows"],
            chosen_longer=row["chosen_longer"] / row["rows"],
            one_vote=row["one_vote"] / row["rows"],
            confident=row["confident"] / row["rows"],
            languages=spoken.get(row["community"], {}),
            replies_in_other_languages=row["elsewhere"],
            masked=row["masked"],
        )
        for row in counts.sort("community").iter_rows(named=True)
    }


def _share(counts: pl.DataFrame, condition: pl.Expr) -> float:
    return float(counts.select(pl.col("count").filter(condition).sum() / pl.col("count").sum()).item())


def _describe_lengths(counts: pl.DataFrame, longer: Mapping[int, float]) -> Lengths:
    same = longer.get(0, 0.0)
    return Lengths(
        prompt_chars=distribution(of(counts, "prompt_chars")),
        chosen_chars=distribution(of(counts, "chosen_chars")),
        rejected_chars=distribution(of(counts, "rejected_chars")),
        chosen_longer=longer.get(1, 0.0),
        same_length=same,
        length_baseline=longer.get(1, 0.0) + same / 2,
    )


def _describe_ages(minutes: pl.DataFrame, newer: Mapping[int, float]) -> Ages:
    if minutes.is_empty():
        return Ages(rows=0, chosen_older=None, chosen_newer=None, median_hours=None)
    apart = distribution(minutes)
    return Ages(
        rows=apart.rows,
        chosen_older=newer.get(-1, 0.0),
        chosen_newer=newer.get(1, 0.0),
        median_hours=apart.median / 60,
    )
