"""The continuity audit: whether the true suffix is the continuation, and the negatives are not."""

from dataclasses import dataclass

import polars as pl

from flows.audit.findings import find_false_negatives, find_false_positives, list_findings
from flows.audit.intervals import bound_mean, bound_share
from flows.audit.report import ContinuityReport, Retrieval, Share
from flows.audit.samples import draw_batches, window_size
from flows.audit.scoring import OK, SCORES, Scorer
from miners.web.mining.continuity import pair_rows
from schemas.errors import FatalError
from schemas.manifest import ReleaseManifest
from warehouse.root import Root

_GROUPS = 10  # modes or hosts told apart
_PAIRS = 4_000_000  # at about 0.3 kB each


@dataclass(frozen=True, slots=True)
class Asked:
    """How much is looked at.

    rows: of the sample, rounded up to whole batches. batch: rows whose suffixes are each other's candidates; None is
    the release's window. negatives: of them, so many a row by hash; None is all. seed: of these hashes. worst: findings
    shown, of either kind.
    """

    rows: int = 1024
    batch: int | None = None
    negatives: int | None = None
    seed: int = 0
    worst: int = 20


def audit_continuity(root: Root, manifest: ReleaseManifest, scorer: Scorer, asked: Asked) -> ContinuityReport:
    """Audit a release of continuations on a sample of its batches.

    Raises FatalError where it has no continuations, holds no such batch, or the batches make too many pairs.
    """
    window = window_size(manifest)  # refuses what has no continuations, whatever batch is asked for
    batch = asked.batch or window
    rows = draw_batches(root, manifest, rows=asked.rows, batch=batch, seed=asked.seed)
    if (count := rows.height * batch) > _PAIRS:
        raise FatalError(
            f"{rows.height:,} rows in batches of {batch:,} make {count:,} pairs, more than {_PAIRS:,}; "
            "ask for a smaller `--sample` or `--batch`"
        )
    pairs = pair_rows(rows.height, batch, negatives=asked.negatives, seed=asked.seed)
    scored = pairs.hstack(scorer.score(rows.select("prefix", "suffix"), pairs))
    return _report(manifest, rows, scored, scorer, (asked, batch))


def rank_true(scored: pl.DataFrame) -> pl.DataFrame:
    """Rank the true suffix of each row among its candidates -> `row, candidates, rank, first`.

    scored: `row, candidate` and SCORES. rank: 1 + candidates above, and half of those that are level. first: its part
    in the first place, so that level scores come first by chance. Rows with a pair that has no score are left out.
    """
    own = pl.col("score").filter(pl.col("row") == pl.col("candidate")).first()
    above, level = (pl.col("score") > own).sum(), (pl.col("score") == own).sum()
    ranked = scored.group_by("row", maintain_order=True).agg(
        candidates=pl.len(),
        complete=(pl.col("state") == OK).all(),
        rank=1 + above + (level - 1) / 2,
        first=pl.when(above == 0).then(1 / level).otherwise(0.0),
    )
    return ranked.filter("complete").drop("complete")


def _report(
    manifest: ReleaseManifest, rows: pl.DataFrame, scored: pl.DataFrame, scorer: Scorer, asked: tuple[Asked, int]
) -> ContinuityReport:
    wanted, batch = asked
    positives = find_false_positives(scored, scorer.threshold)
    negatives = find_false_negatives(rows, scored, scorer.threshold, scorer.margin)
    known = rows.select("mode", "host").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    doubted = [found.group_by("row").len(name) for found, name in ((positives, "doubtful"), (negatives, "suspicious"))]
    ranked = known.join(rank_true(scored), on="row", how="left", maintain_order="left")
    for counts in doubted:
        ranked = ranked.join(counts, on="row", how="left", maintain_order="left")
    true = pl.col("row") == pl.col("candidate")
    states = scored.group_by("state").len().sort("state")
    return ContinuityReport(
        release=manifest.name,
        build=manifest.build,
        method=scorer.method,
        model=scorer.model,
        seed=wanted.seed,
        rows=rows.height,
        batch=batch,
        pairs=scored.height,
        threshold=scorer.threshold,
        margin=scorer.margin,
        states=dict(zip(states["state"].to_list(), states["len"].to_list(), strict=True)),
        retrieval=_sum_up(ranked, wanted.seed),
        by_mode=_sum_up_by(ranked, "mode", wanted.seed),
        by_host=_sum_up_by(ranked, "host", wanted.seed),
        true_pass=_passing(scored.filter(true), scorer.threshold),
        negatives_pass=_passing(scored.filter(~true), scorer.threshold),
        features=_compare_features(scored),
        false_positives=list_findings(rows, positives, wanted.worst),
        false_negatives=list_findings(rows, negatives, wanted.worst),
    )


def _sum_up_by(ranked: pl.DataFrame, column: str, seed: int) -> dict[str, Retrieval]:
    """Sum up each of the largest groups, the largest first."""
    counts = ranked.drop_nulls(column).group_by(column).len().sort("len", column, descending=[True, False])
    names = counts.head(_GROUPS)[column].to_list()
    return {name: _sum_up(ranked.filter(pl.col(column) == name), seed) for name in names}


def _sum_up(ranked: pl.DataFrame, seed: int) -> Retrieval:
    whole = ranked.drop_nulls("rank")
    inverse = (1 / whole["rank"]).to_numpy()
    hits = float(whole["first"].sum())
    low, high = bound_mean(inverse, seed)
    return Retrieval(
        rows=whole.height,
        candidates=_mean(whole["candidates"]),
        accuracy=_share(hits, whole.height),
        chance=_mean(1 / whole["candidates"]),
        mrr=Share(share=float(inverse.mean()) if whole.height else None, low=low, high=high, of=whole.height),
        false_positives=int(ranked["doubtful"].sum()),
        false_negatives=int(ranked["suspicious"].sum()),
    )


def _passing(scored: pl.DataFrame, threshold: float) -> Share:
    known = scored.drop_nulls("score")
    return _share(int((known["score"] > threshold).sum()), known.height)


def _share(hits: float, rows: int) -> Share:
    low, high = bound_share(hits, rows)
    return Share(share=hits / rows if rows else None, low=low, high=high, of=rows)


def _mean(values: pl.Series) -> float | None:
    return float(values.to_numpy().mean()) if len(values) else None


def _compare_features(scored: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Set the means of what the scorer measured beside each other; empty where it measured nothing."""
    true = pl.col("row") == pl.col("candidate")
    names = [name for name in scored.columns if name not in {"row", "candidate", *SCORES}]
    sides = [scored.filter(side).select(names) for side in (true, ~true)]
    means = [side.mean().row(0) if side.height else [0.0] * len(names) for side in sides]
    return {name: (round(own, 4), round(other, 4)) for name, own, other in zip(names, *means, strict=True)}
