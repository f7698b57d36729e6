"""Evaluation: a judge beside other readings of the same turns, the gold.

Gold is a CSV file with `conversation_id`, `turn` (of the reply among the replies of its conversation, from 0, as
releases number them) and either `label` or the readings `first` and `second`, from 1. Of two readings that differ the
one nearer to the neutral label counts, the first of equally near ones.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from flows.judging.calibration import Calibration, calibrate
from flows.judging.judged import find_snapshot, read_ledger, read_verdicts
from flows.judging.scales import SIGNS, Scale, compare, sign_labels, sign_probs
from miners.chats.mining.rubrics import Rubric, find_rubric
from miners.chats.mining.views import VIEWS, View, find_view
from schemas.errors import FatalError, InputError
from schemas.judging import State
from schemas.manifest import Record
from warehouse.agreement import Floats
from warehouse.ledger import open_ledger
from warehouse.root import Root

_ID = ["conversation_id", "turn"]
_OWN_ID = pl.col("group_id").str.replace(r"^[^/]*/", "")  # without the source's name
_EXPECTED = "a CSV file with `conversation_id`, `turn`, and `label` or both `first` and `second`"


class Missed(Record):
    """A row of the gold that no label stands beside. reason: `not judged`, `ambiguous`, or how its asking ended.

    Not judged is what the build does not know, and what it dropped before it asked: copies, turns that are not fit.
    """

    conversation_id: str
    turn: int
    reason: str


class Reading(Record):
    """Labels of a judge, or a second reader, beside gold ones: on the rubric's own labels, and on three classes."""

    labels: Scale
    classes: Scale
    label_calibration: Calibration | None = None
    """None where the judge gives no probabilities."""
    class_calibration: Calibration | None = None


class Evaluation(Record):
    """What became of the gold: `gold == matched + len(missed)`.

    judges: {model: matched rows it judged}. example: a conversation of the build, as gold would name it. readers: the
    two readers beside each other, where the gold has both: what can be hoped for. reading: None where no row matched.
    """

    what: str
    rubric: str
    gold: int
    matched: int
    missed: tuple[Missed, ...]
    judges: dict[str, int]
    example: str | None
    reading: Reading | None
    readers: Reading | None


def evaluate_release(root: Root, release: str | None, gold: Path) -> Evaluation:
    """Evaluate the verdicts behind a release, those on turns that it does not hold (neutral ones) included."""
    manifest, snapshot = find_snapshot(root, release)
    judged = read_verdicts(root, snapshot)
    ids = sorted(set(judged["rubric"]))
    if len(ids) != 1:
        raise FatalError(f"{manifest.name}: its verdicts are of the rubrics {', '.join(ids) or 'none'}; expected one")
    rubric = find_rubric(ids[0].partition("@")[0])
    return evaluate(f"{manifest.name}, build {manifest.build}", judged, read_gold(gold, rubric), rubric)


def evaluate_ledger(root: Root, rubric: str, gold: Path) -> tuple[Evaluation, ...]:
    """Evaluate every judge that the ledger knows for a rubric; the one with the most answers first."""
    asked = find_rubric(rubric)
    judged = read_ledger(root, open_ledger(root), asked)
    if judged.is_empty():
        raise FatalError(f"{root.url}: the ledger has no answers by {asked.id} to questions of a published build")
    rows = read_gold(gold, asked)
    groups = judged.partition_by("judge", maintain_order=True)
    ordered = sorted(groups, key=lambda own: (-own.height, own["judge"][0]))
    return tuple(
        evaluate(f"{own['judge_model'][0]}, judge {own['judge'][0][:12]}", own, rows, asked) for own in ordered
    )


def read_gold(path: Path, rubric: Rubric) -> pl.DataFrame:
    """Read gold: `conversation_id, turn, label` and, where the file has them, `first, second`. Raises InputError."""
    try:
        rows = pl.read_csv(path, infer_schema=False)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", _EXPECTED) from None
    except pl.exceptions.PolarsError as error:
        raise InputError(str(path), f"is no table ({str(error).splitlines()[0]})", _EXPECTED) from None
    if rows.is_empty():
        raise InputError(str(path), "holds no row", _EXPECTED)
    readings = ["first", "second"] if {"first", "second"} <= set(rows.columns) else ["label"]
    if missing := [name for name in (*_ID, *readings) if name not in rows.columns]:
        raise InputError(str(path), f"has no column {', '.join(missing)}", _EXPECTED)
    numbers = [pl.col(name).str.strip_chars().cast(pl.Int64, strict=False) for name in ("turn", *readings)]
    gold = rows.select("conversation_id", *numbers)
    _check(gold, path, readings, len(rubric.answers))
    return gold if readings == ["label"] else gold.with_columns(label=_settle(rubric))


def _check(gold: pl.DataFrame, path: Path, readings: list[str], labels: int) -> None:
    """Refuse rows that say nothing, and turns that stand there twice."""
    whole = pl.all_horizontal(
        pl.col("conversation_id").is_not_null(),
        (pl.col("turn") >= 0).fill_null(value=False),
        *(pl.col(name).is_between(1, labels).fill_null(value=False) for name in readings),
    )
    if len(broken := gold.select(~whole).to_series().arg_true()):
        expected = f"an id, a turn from 0, and labels from 1 to {labels}"
        raise InputError(f"{path}, line {broken[0] + 2}", "is no reading of a turn", expected)
    if len(twice := gold.select(pl.struct(_ID).is_first_distinct().not_()).to_series().arg_true()):
        raise InputError(f"{path}, line {twice[0] + 2}", "has a turn that stands above it", "each turn once")


def _settle(rubric: Rubric) -> pl.Expr:
    """Settle on one of two readings: the one that the rubric prefers in doubt."""
    rank = {place + 1: abs(place - rubric.answers.index(rubric.neutral)) for place in range(len(rubric.answers))}
    first, second = (pl.col(name).replace_strict(rank, return_dtype=pl.Int64) for name in ("first", "second"))
    return pl.when(second < first).then("second").otherwise("first")


def evaluate(what: str, judged: pl.DataFrame, gold: pl.DataFrame, rubric: Rubric) -> Evaluation:
    """Put verdicts (JUDGED) beside gold rows. what: how the verdicts are called."""
    view = view_of(rubric)
    beside = _match(judged, gold)
    good = beside.filter(pl.col("reason").is_null())
    counted = good.group_by("judge_model").len().sort("len", "judge_model", descending=[True, False])
    readers = None
    if "first" in gold.columns and gold.height:
        readers = read(gold, "first", "second", view)
    return Evaluation(
        what=what,
        rubric=rubric.id,
        gold=gold.height,
        matched=good.height,
        missed=tuple(_name_missed(beside)),
        judges=dict(counted.iter_rows()),
        example=judged.select(_OWN_ID.first()).item() if judged.height else None,
        reading=read(good, "label", "said", view) if good.height else None,
        readers=readers,
    )


def view_of(rubric: Rubric) -> View:
    """Find what the labels of a rubric mean."""
    return next((view for view in VIEWS.values() if view.rubric == rubric.name), None) or find_view(rubric.name)


def _match(judged: pl.DataFrame, gold: pl.DataFrame) -> pl.DataFrame:
    """Join verdicts to gold by the conversation's own id -> gold with `said, label_probs, judge_model, reason`.

    A turn that two sources have under one id, with different labels, is ambiguous.
    """
    own = judged.select(
        conversation_id=_OWN_ID,
        turn=pl.col("turn").cast(pl.Int64),
        said=pl.col("label").cast(pl.Int64),
        state="state",
        label_probs="label_probs",
        judge_model="judge_model",
    )
    several = (pl.struct("state", "said").n_unique().over(_ID) > 1).alias("several")
    known = own.with_columns(several).unique(_ID, keep="first", maintain_order=True)
    reason = (
        pl.when(pl.col("state").is_null())
        .then(pl.lit("not judged"))
        .when("several")
        .then(pl.lit("ambiguous"))
        .when(pl.col("state") != State.OK)
        .then("state")
    )
    return gold.join(known, on=_ID, how="left", maintain_order="left").with_columns(reason=reason)


def _name_missed(beside: pl.DataFrame) -> Iterator[Missed]:
    for conversation, turn, reason in beside.drop_nulls("reason").select(*_ID, "reason").iter_rows():
        yield Missed(conversation_id=conversation, turn=turn, reason=reason)


def read(rows: pl.DataFrame, gold: str, said: str, view: View) -> Reading:
    """Compare two columns of labels; `conversation_id` says which rows vary together."""
    true, given = (rows[name].to_numpy().astype(np.int64) for name in (gold, said))
    units = rows["conversation_id"]
    probs = stack_probs(rows)
    return Reading(
        labels=compare(true, given, view.categories, units, ordered=bool(view.ordinal)),
        classes=compare(sign_labels(true, view), sign_labels(given, view), SIGNS, units, ordered=True),
        label_calibration=None if probs is None else calibrate(probs, true, units),
        class_calibration=None if probs is None else calibrate(sign_probs(probs, view), sign_labels(true, view), units),
    )


def stack_probs(rows: pl.DataFrame) -> Floats | None:
    """Give `label_probs` as rows x labels; None where the judge gave none, or not of every row."""
    if "label_probs" not in rows.columns or rows["label_probs"].null_count():
        return None
    flat = rows["label_probs"].explode().to_numpy().astype(np.float64).reshape(rows.height, -1)
    probs: Floats = flat / flat.sum(axis=1, keepdims=True)
    return probs
