"""Drift: whether a build's labels are distributed as those of the build before it, and an alarm where they are not.

A judge's server may change its model behind one name, a log its users. Compared is what the judge itself said of
turns, released or not: of those that the build before did not have, since what was answered once is not asked again.
With enough turns any two builds differ for sure, so that an alarm asks for two things: that chance does not explain the
difference, and that it is worth a look.
"""

import math
from typing import TypeAlias, TypeGuard

import polars as pl
from rich.console import Group, RenderableType

from flows.judging.judged import TURNS, VERDICTS, list_pieces, read_turns
from flows.pages import fill_table, make_table, show
from miners.chats.mining.rubrics import Rubric, find_rubric
from schemas.errors import FatalError, RootError
from schemas.identity import hash64
from schemas.inputs import Route
from schemas.judging import State
from schemas.manifest import Latest, ReleaseManifest, Snapshot
from schemas.statistics import Difference, Drift, Said, Shift
from warehouse.agreement import compare_counts, effect_size
from warehouse.label_shares import UNIT, bound_shares
from warehouse.partitions import read_partition
from warehouse.root import Root

MAX_P = 0.01
"""Chance of a difference as large between two builds that are alike, from which chance no longer explains it."""

MIN_EFFECT = 0.1
"""Cohen's h from which a label's share has shifted: from 50% to 55%, from 10% to 13.3%, from 3% to 5%. Cohen 1988 calls
0.2 small; but a label's share in a corpus is a mean over thousands of users, and moves little by itself."""

MIN_NEW = 30
"""Turns that the build before did not have, from which these are compared alone."""

_NUMBERS = ("before", "now", "difference", "between", "effect")
_NAMES = ("judge", "judge_model", "rubric")
_ANSWERED = pl.col("label").is_not_null()

Bounded: TypeAlias = tuple[float, float, float]
"""A share, and the bounds of its interval."""


def compare_labels(old: pl.DataFrame, new: pl.DataFrame) -> Difference:
    """Compare how often each label was given in two builds: `label, unit, count`, turns with a label that a unit gives.

    A unit's turns are alike: each label's interval is that of `bound_shares`, and for the test all counts of a build
    are shrunk by its design effect, the mean of its labels' own (Rao and Scott 1981, their first-order correction).
    Builds are taken to be independent of each other. Those that share turns or users vary together, so that chance
    explains less there than is assumed: a true shift may pass, and no alarm is false for it.
    """
    labels = pl.concat([old["label"], new["label"]]).unique().sort().to_frame()
    before, now = (_bound(counts, labels) for counts in (old, new))
    sizes = _find_size(before), _find_size(now)
    shrunk = ((shares["share"] * size).to_list() for shares, size in zip((before, now), sizes, strict=True))
    statistic, p_value = compare_counts(*shrunk)
    pairs = (shares.select("share", "low", "high").iter_rows() for shares in (before, now))
    shifts = tuple(
        _shift(label, one, other, by_chance=p_value >= MAX_P)
        for label, one, other in zip(labels["label"], *pairs, strict=True)
    )
    return Difference(
        old_rows=int(before["rows"].sum()),
        new_rows=int(now["rows"].sum()),
        old_size=sizes[0],
        new_size=sizes[1],
        statistic=statistic,
        p_value=p_value,
        shifts=shifts,
        alarming=any(shift.alarming for shift in shifts),
    )


def _bound(counts: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Bound the share of each label in a build, by label; one that it never gave is one that no unit gave."""
    nothing = labels.join(counts.select("unit").head(1), how="cross").with_columns(count=pl.lit(0, pl.UInt64))
    every = pl.concat([counts.select(nothing.columns).cast({"count": pl.UInt64}), nothing])
    return bound_shares(every.with_columns(value=pl.lit(""))).sort("label")


def _find_size(shares: pl.DataFrame) -> float:
    """Find as how many independent turns a build counts: by the mean design effect of the labels that it gave."""
    given = shares.filter(pl.col("rows") > 0)
    if given.height == 1:
        return float(given["effective"][0])
    return (given.height - 1) / float(((1 - given["share"]) / given["effective"]).sum())


def _shift(label: int, old: Bounded, new: Bounded, *, by_chance: bool) -> Shift:
    low, high = bound_difference(old, new)
    effect = effect_size(old[0], new[0])
    sure = not by_chance and not low <= 0 <= high
    return Shift(
        label=label,
        old=old[0],
        new=new[0],
        difference=new[0] - old[0],
        low=low,
        high=high,
        effect=effect,
        alarming=sure and abs(effect) >= MIN_EFFECT,
    )


def bound_difference(old: Bounded, new: Bounded) -> tuple[float, float]:
    """Bound the second share less the first: Newcombe 1998, method 10, of two Wilson intervals.

    >>> [round(bound, 4) for bound in bound_difference((0.6, 0.4904, 0.7003), (0.8, 0.6917, 0.8769))]
    [0.0524, 0.3339]
    """
    (one, low, high), (other, low_new, high_new) = old, new
    below, above = math.hypot(other - low_new, high - one), math.hypot(high_new - other, one - low)
    return other - one - below, other - one + above


def read_labels(root: Root, snapshot: Snapshot) -> pl.DataFrame | None:
    """Read `turn, unit, label` and the judge's names of every turn that a build has a verdict on.

    turn and unit are hashes; label is null where no judge answered. None where partitions are gone, or none are there.
    """
    try:
        pieces = tuple(list_pieces(root, [snapshot], (VERDICTS, TURNS)))
    except RootError:
        raise
    except FatalError:
        return None
    tables = (
        pl.DataFrame(read_partition(root, piece[VERDICTS], ["uid", "state", "label", *_NAMES]))
        .join(pl.DataFrame(read_turns(root, piece)), on="uid", how="inner")
        .select(
            turn=hash64("uid"),
            unit=UNIT,
            label=pl.when(pl.col("state") == State.OK).then("label"),
            **{name: pl.col(name).cast(pl.Categorical) for name in _NAMES},
        )
        for piece in pieces
    )
    return pl.concat(tables) if pieces else None


def find_new(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame | None:
    """Find the turns of a build (`read_labels`) that the one before it did not have, answered or not.

    None where they do not stand for the judge of today: fewer than MIN_NEW have a label, or the judges are others (by
    model, rubric or settings), who were asked about every turn anew.
    """
    if set(before["judge"].unique()) != set(now["judge"].unique()):
        return None
    new = now.filter(~pl.col("turn").is_in(before["turn"].implode()))
    return new if new["label"].count() >= MIN_NEW else None


def compare_builds(root: Root, manifest: ReleaseManifest) -> Drift | None:
    """Compare what was said in a release's build and in the one that it took the place of; None where that is gone."""
    if manifest.route != Route.CHATS:
        return None
    pointer = root.read_record(f"releases/{manifest.name}/latest.json", Latest)
    if pointer is None or pointer.build != manifest.build or pointer.previous is None:
        return None
    keys = (f"snapshots/{manifest.name}/{build}.json" for build in (pointer.previous, manifest.build))
    snapshots = [root.read_record(key, Snapshot) for key in keys]
    old, new = (None if one is None else read_labels(root, one) for one in snapshots)
    return None if old is None or new is None else compare_readings(pointer.previous, old, new)


def compare_readings(previous: str, old: pl.DataFrame, new: pl.DataFrame) -> Drift | None:
    """Compare two builds as `read_labels` reads them; None where one has no label, or labels of several rubrics."""
    before, now = _sum_up(old), _sum_up(new)
    if before is None or now is None:
        return None
    fresh = find_new(old, new)
    alike = before.rubric == now.rubric or {before.rubric, now.rubric} <= set(_find_rubric(now).alike)
    compared = (old, new if fresh is None else fresh)
    difference = compare_labels(*(_count_units(rows) for rows in compared)) if alike else None
    return Drift(previous=previous, before=before, now=now, only_new=fresh is not None, difference=difference)


def _count_units(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(_ANSWERED).group_by("label", "unit").agg(count=pl.len().cast(pl.UInt64))


def _sum_up(rows: pl.DataFrame) -> Said | None:
    said = rows.filter(_ANSWERED)
    rubrics = said["rubric"].unique()
    if len(rubrics) != 1:
        return None
    labels = dict(said.group_by("label").len().sort("label").iter_rows())
    return Said(rubric=rubrics[0], judges=tuple(sorted(said["judge_model"].unique())), labels=labels)


def _find_rubric(said: Said) -> Rubric:
    """Find today's version of the rubric that was asked."""
    return find_rubric(said.rubric.partition("@")[0])


def is_alarming(drift: Drift | None) -> TypeGuard[Drift]:
    """Say whether someone should look at two builds."""
    return drift is not None and drift.difference is not None and drift.difference.alarming


def list_shifts(drift: Drift) -> list[dict[str, str]]:
    """List each label's share before and now, in words: {column: cell} of a table."""
    names = _find_rubric(drift.now).categories
    return [
        {
            "label": f"{shift.label} {names[shift.label - 1] if shift.label <= len(names) else ''}",
            "before": f"{shift.old:.1%}",
            "now": f"{shift.new:.1%}",
            "difference": f"{shift.difference:+.1%}",
            "between": f"{shift.low:+.1%} and {shift.high:+.1%}",
            "effect": f"{shift.effect:+.2f}",
            "alarm": "shifted" if shift.alarming else "",
        }
        for shift in (drift.difference.shifts if drift.difference else ())
    ]


def lay_out_drift(drift: Drift) -> RenderableType:
    """Lay two builds' labels out beside each other, with a word on what that came to."""
    concluded = show(conclude(drift), "yellow" if is_alarming(drift) else "")
    if drift.difference is None:
        return concluded
    title = f"labels beside those of build {drift.previous}"
    table = make_table("label", *_NUMBERS, "alarm", numbers=_NUMBERS, title=title)
    return Group(fill_table(table, (shift.values() for shift in list_shifts(drift))), concluded)


def conclude(drift: Drift) -> str:
    """Say in words what the comparison came to."""
    old, new, difference = drift.before, drift.now, drift.difference
    if difference is None:
        return f"labels are of {new.rubric}, and those of build {drift.previous} of {old.rubric}: they do not compare"
    judge = (
        "" if old.judges == new.judges else f" (judged by {', '.join(new.judges)}, before by {', '.join(old.judges)})"
    )
    prompt = "" if old.rubric == new.rubric else f"; the prompt changed, from {old.rubric} to {new.rubric}"
    which = "that are new" if drift.only_new else "in all"
    turns = (
        f"{difference.new_rows:,} turns {which}{judge} beside {difference.old_rows:,} of the build before, which say "
        f"as much as {difference.new_size:,.0f} beside {difference.old_size:,.0f} independent ones{prompt}"
    )
    if not difference.alarming:
        return f"{turns}: no label's share has shifted"
    shifted = ", ".join(str(shift.label) for shift in difference.shifts if shift.alarming)
    return (
        f"drift: {turns}: the share of {shifted} has shifted more than chance explains. Look whether the judge, or "
        "what it was given, is what it was: `revealed judge eval` measures it on labelled turns"
    )
