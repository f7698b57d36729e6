"""Drift: whether a build's labels are distributed as those of the build before it, and an alarm where they are not.

A judge's server may change its model behind one name, a log its users. Compared is what the judge itself said of all
turns, released or not. With enough turns any two builds differ for sure, so that an alarm asks for two things: that
chance does not explain the difference, and that it is worth a look.
"""

import math
from collections import Counter
from collections.abc import Mapping

import polars as pl
from rich.console import Group, RenderableType

from flows.audit.intervals import bound_share
from flows.judging.judged import VERDICTS
from flows.pages import fill_table, make_table, show
from miners.chats.mining.rubrics import find_rubric
from schemas.inputs import Route
from schemas.judging import State
from schemas.manifest import Latest, Record, ReleaseManifest, Snapshot
from warehouse.agreement import compare_counts, effect_size
from warehouse.partitions import find_partition, read_partition
from warehouse.root import Root

MAX_P = 0.01
"""Chance of a difference as large between two builds that are alike, from which chance no longer explains it."""

MIN_EFFECT = 0.1
"""Cohen's h from which a label's share has shifted: from 50% to 55%, from 10% to 13.3%, from 3% to 5%. Cohen 1988 calls
0.2 small; but a label's share in a corpus is a mean over thousands of users, and moves little by itself."""


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


class Drift(Record):
    """How two builds differ. p_value: of Pearson's chi-square over all labels. shifts: by label."""

    old_rows: int
    new_rows: int
    statistic: float
    p_value: float
    shifts: tuple[Shift, ...]

    @property
    def alarming(self) -> bool:
        """Whether someone should look: a label's share shifted, and not by chance."""
        return any(shift.alarming for shift in self.shifts)


class Said(Record):
    """What judges said in a build: {label: turns}, and who they were."""

    rubric: str
    judges: tuple[str, ...]
    labels: dict[int, int]


def compare_labels(old: Mapping[int, int], new: Mapping[int, int]) -> Drift:
    """Compare how often each label was given in two builds: {label: turns}.

    Turns are taken to be independent of each other and between the builds. Builds that share input vary together, so
    that chance explains less than is assumed; turns of few users more: the least effect stands for both.
    """
    labels = sorted({*old, *new})
    before, now = ([counts.get(label, 0) for label in labels] for counts in (old, new))
    statistic, p_value = compare_counts(before, now)
    totals = sum(before), sum(now)
    shifts = (
        _shift(label, one, other, totals, by_chance=p_value >= MAX_P)
        for label, one, other in zip(labels, before, now, strict=True)
    )
    return Drift(old_rows=totals[0], new_rows=totals[1], statistic=statistic, p_value=p_value, shifts=tuple(shifts))


def _shift(label: int, before: int, now: int, totals: tuple[int, int], *, by_chance: bool) -> Shift:
    old, new = (hits / total if total else 0.0 for hits, total in zip((before, now), totals, strict=True))
    low, high = bound_difference((before, totals[0]), (now, totals[1]))
    effect = effect_size(old, new)
    sure = not by_chance and not low <= 0 <= high
    return Shift(
        label=label,
        old=old,
        new=new,
        difference=new - old,
        low=low,
        high=high,
        effect=effect,
        alarming=sure and abs(effect) >= MIN_EFFECT,
    )


def bound_difference(old: tuple[int, int], new: tuple[int, int]) -> tuple[float, float]:
    """Bound the second share less the first, each (hits, rows): Newcombe 1998, method 10, of two Wilson intervals.

    >>> [round(bound, 4) for bound in bound_difference((48, 80), (56, 70))]
    [0.0524, 0.3339]
    """
    (one, other), (low, high), (low_new, high_new) = (
        tuple(hits / rows if rows else 0.5 for hits, rows in (old, new)),
        bound_share(*old),
        bound_share(*new),
    )
    difference = other - one
    below, above = math.hypot(other - low_new, high - one), math.hypot(high_new - other, one - low)
    return difference - below, difference + above


def count_labels(root: Root, snapshot: Snapshot) -> Said | None:
    """Count what the judges of a build said; None where its partitions are gone, or there is nothing to count."""
    counts, judges, rubrics = Counter[int](), set[str](), set[str]()
    for prints in snapshot.partitions.get(VERDICTS, {}).values():
        for print_ in prints:
            part = find_partition(root, VERDICTS, print_)
            if part is None:
                return None
            rows = pl.DataFrame(read_partition(root, part, ["state", "label", "judge_model", "rubric"]))
            said = rows.filter(pl.col("state") == State.OK)
            counts.update(dict(said.group_by("label").len().iter_rows()))
            judges.update(said["judge_model"].unique())
            rubrics.update(said["rubric"].unique())
    if len(rubrics) != 1:
        return None
    return Said(rubric=rubrics.pop(), judges=tuple(sorted(judges)), labels=dict(sorted(counts.items())))


def lay_out_drift(root: Root, manifest: ReleaseManifest) -> RenderableType | None:
    """Compare a release's labels with those of the build that it took the place of; None where there is none."""
    if manifest.route != Route.CHATS:
        return None
    pointer = root.read_record(f"releases/{manifest.name}/latest.json", Latest)
    if pointer is None or pointer.build != manifest.build or pointer.previous is None:
        return None
    keys = (f"snapshots/{manifest.name}/{build}.json" for build in (pointer.previous, manifest.build))
    snapshots = [root.read_record(key, Snapshot) for key in keys]
    old, new = (None if one is None else count_labels(root, one) for one in snapshots)
    if old is None or new is None:
        return None
    return _lay_out(old, new, pointer.previous)


def _lay_out(old: Said, new: Said, build: str) -> RenderableType:
    if old.rubric != new.rubric:
        return show(f"labels are of {new.rubric}, and those of build {build} of {old.rubric}: they do not compare")
    drift = compare_labels(old.labels, new.labels)
    names = find_rubric(new.rubric.partition("@")[0]).categories
    numbers = ("before", "now", "difference", "between", "effect")
    table = fill_table(
        make_table("label", *numbers, "", numbers=numbers, title=f"labels beside those of build {build}"),
        (
            (
                f"{shift.label} {names[shift.label - 1] if shift.label <= len(names) else ''}",
                f"{shift.old:.1%}",
                f"{shift.new:.1%}",
                f"{shift.difference:+.1%}",
                f"{shift.low:+.1%} and {shift.high:+.1%}",
                f"{shift.effect:+.2f}",
                "shifted" if shift.alarming else "",
            )
            for shift in drift.shifts
        ),
    )
    return Group(table, show(_conclude(drift, old, new), "yellow" if drift.alarming else ""))


def _conclude(drift: Drift, old: Said, new: Said) -> str:
    """Say in words what the comparison came to."""
    judge = (
        "" if old.judges == new.judges else f" (judged by {', '.join(new.judges)}, before by {', '.join(old.judges)})"
    )
    turns = f"{drift.new_rows:,} turns{judge} beside {drift.old_rows:,}"
    if not drift.alarming:
        return f"{turns}: no label's share has shifted"
    shifted = ", ".join(str(shift.label) for shift in drift.shifts if shift.alarming)
    return (
        f"drift: {turns}: the share of {shifted} has shifted more than chance explains. Look whether the judge, or "
        "what it was given, is what it was: `revealed judge eval` measures it on labelled turns"
    )
