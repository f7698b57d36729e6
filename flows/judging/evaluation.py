"""Evaluation: a judge beside other readings of the same turns, the gold.

Gold is a CSV file with `conversation_id`, `turn` (of the reply among the replies of its conversation, from 0, as
releases number them), and `label`, or the readings `first` and `second`, or all three; labels from 1. Where there is a
`label` it counts, and the readings tell only how far two readers agree. Without one, of two readings that differ the
one nearer to the neutral label counts, the first of equally near ones.

Intervals let the turns of one user vary together; where nobody is known, those of a conversation.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from flows.judging.calibration import Calibration, calibrate
from flows.judging.judged import find_snapshot, list_judges, read_verdicts
from flows.judging.scales import SIGNS, Scale, compare, sign_labels, sign_probs
from miners.chats.mining.rubrics import Rubric, find_rubric
from miners.chats.mining.views import VIEWS, View, find_view
from schemas.errors import FatalError, InputError
from schemas.judging import State
from schemas.manifest import Record
from warehouse.agreement import Floats
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
    """Of the rows that have probabilities, `label_calibration.rows` of `labels.rows`; None where none has."""
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
    if ids[0] not in rubric.alike:
        raise FatalError(
            f"{manifest.name}: its verdicts are of {ids[0]}, whose answers are not those of {rubric.id}; build it again"
        )
    return evaluate(f"{manifest.name}, build {manifest.build}", judged, read_gold(gold, rubric), rubric)


def evaluate_ledger(root: Root, rubric: str, gold: Path) -> tuple[Evaluation, ...]:
    """Evaluate every judge that the ledger knows for a rubric, in whatever version that has its answers.

    The one with the most answers comes first.
    """
    asked = find_rubric(rubric)
    rows = read_gold(gold, asked)
    return tuple(
        evaluate(f"{own['judge_model'][0]}, judge {own['judge'][0][:12]}", own, rows, asked)
        for own in list_judges(root, asked)
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
    pair = ["first", "second"] if {"first", "second"} <= set(rows.columns) else []
    readings = pair if pair and "label" not in rows.columns else ["label", *pair]
    if missing := [name for name in (*_ID, *readings) if name not in rows.columns]:
        raise InputError(str(path), f"has no column {', '.join(missing)}", _EXPECTED)
    numbers = [pl.col(name).str.strip_chars().cast(pl.Int64, strict=False) for name in ("turn", *readings)]
    gold = rows.select("conversation_id", *numbers)
    _check(gold, path, readings, len(rubric.answers))
    return gold if "label" in readings else gold.with_columns(label=_settle(rubric))


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
    """Put verdicts (JUDGED) of one version of a rubric beside gold rows. what: how the verdicts are called."""
    view = view_of(rubric)
    beside = _match(judged, gold)
    good = beside.filter(pl.col("reason").is_null())
    counted = good.group_by("judge_model").len().sort("len", "judge_model", descending=[True, False])
    readers = None
    if "first" in gold.columns and gold.height:
        readers = read(beside.drop("label_probs"), "first", "second", view)  # the judge's: no reader gave any
    return Evaluation(
        what=what,
        rubric=judged["rubric"][0] if judged.height else rubric.id,
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
    """Join verdicts to gold by the conversation's own id -> gold with `said, label_probs, judge_model, unit, reason`.

    unit: the user of the conversation, or the conversation where nobody is known; its rows vary together. A turn that
    two sources have under one id, with different labels, is ambiguous.
    """
    own = judged.select(
        conversation_id=_OWN_ID,
        turn=pl.col("turn").cast(pl.Int64),
        said=pl.col("label").cast(pl.Int64),
        state="state",
        label_probs="label_probs",
        judge_model="judge_model",
        user="user",
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
    unit = pl.coalesce(pl.col("user").max().over("conversation_id"), "conversation_id")
    return gold.join(known, on=_ID, how="left", maintain_order="left").with_columns(reason=reason, unit=unit)


def _name_missed(beside: pl.DataFrame) -> Iterator[Missed]:
    for conversation, turn, reason in beside.drop_nulls("reason").select(*_ID, "reason").iter_rows():
        yield Missed(conversation_id=conversation, turn=turn, reason=reason)


def read(rows: pl.DataFrame, gold: str, said: str, view: View) -> Reading:
    """Compare two columns of labels; `unit` says which rows vary together."""
    true, given = (rows[name].to_numpy().astype(np.int64) for name in (gold, said))
    units = rows["unit"]
    label_calibration, class_calibration = _calibrate(rows, gold, said, view)
    return Reading(
        labels=compare(true, given, view.categories, units, ordered=bool(view.ordinal)),
        classes=compare(sign_labels(true, view), sign_labels(given, view), SIGNS, units, ordered=True),
        label_calibration=label_calibration,
        class_calibration=class_calibration,
    )


def _calibrate(rows: pl.DataFrame, gold: str, said: str, view: View) -> tuple[Calibration | None, Calibration | None]:
    """Measure the probabilities of labels and of classes, on the rows that have any; None where no row has."""
    known = rows.drop_nulls("label_probs") if "label_probs" in rows.columns else rows.clear()
    if known.is_empty():
        return None, None
    true, given = (known[name].to_numpy().astype(np.int64) for name in (gold, said))
    probs, units = stack_probs(known), known["unit"]
    signs = sign_labels(true, view), sign_labels(given, view)
    return calibrate(probs, true, given, units), calibrate(sign_probs(probs, view), *signs, units)


def stack_probs(rows: pl.DataFrame) -> Floats:
    """Give `label_probs` as rows x labels; of rows that all have them."""
    flat = rows["label_probs"].explode().to_numpy().astype(np.float64).reshape(rows.height, -1)
    probs: Floats = flat / flat.sum(axis=1, keepdims=True)
    return probs
