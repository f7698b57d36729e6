"""Distillation: a student of the ledger's judge, small enough to answer on the CPU where it is sure.

It learns from the `ok` answers to questions of published builds, and is judged on users (or, where nobody is known,
conversations) and exchanges that it has not seen. How it does there is how well it repeats its teacher, not how right
it is. Builds with a cascade teach nothing: they ask only what the student before was unsure of.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from flows.cascade import STUDENT
from flows.judging.calibration import share_figure
from flows.judging.evaluation import read, view_of
from flows.judging.judged import CHATS, QUESTIONS, TURNS, Piece, list_pieces, list_snapshots, read_answers
from flows.judging.student_card import Distilled, Threshold, write_card
from miners.chats.embedded.model import (
    CARD,
    MANIFEST,
    EmbeddedJudge,
    Model,
    choose_labels,
    fit_temperature,
    save_model,
    train_model,
)
from miners.chats.mining.rubrics import Rubric, find_rubric
from miners.chats.mining.texts import join_texts
from schemas.errors import FatalError, InputError
from schemas.identity import hash64
from schemas.judging import State
from warehouse.agreement import Floats, Labels, count_pairs, kappa
from warehouse.ledger import Ledger, open_ledger
from warehouse.partitions import read_partition
from warehouse.root import Root

CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""At which the curve of the cascade is drawn."""

_PARTS = (("train", 0.7), ("tune", 0.1), ("held_out", 0.2))
_MIN_TRAIN, _MIN_OTHER = 200, 40  # turns; of fewer its figures say nothing
_MOST_TURNS = 200_000  # those with the smallest hash; more teach so small a model nothing
_STAGES = (CHATS, TURNS, QUESTIONS)
_EXCHANGE = ("query", "reply", "feedback")
_LESSON = pl.Schema(
    {
        "uid": pl.String,
        "unit": pl.String,  # user, or conversation
        "query": pl.String,
        "reply": pl.String,
        "feedback": pl.String,
        "label": pl.Int64,
        "judge": pl.String,
        "judge_model": pl.String,
    }
)


@dataclass(frozen=True, slots=True)
class _Lessons:
    """Turns with texts and the labels of one teacher. others: {model: turns} of the judges left out.

    copies: turns whose exchange stands in `rows` by another. cascaded: answers left out, of builds with a cascade.
    """

    rows: pl.DataFrame
    others: dict[str, int]
    copies: int
    cascaded: int

    def take(self, part: str) -> pl.DataFrame:
        return self.rows.filter(pl.col("part") == part)


def distill(root: Root, rubric: str, folder: Path) -> Distilled:
    """Train a student on what the ledger's judges said by a rubric, and write its folder, with manifest and card.

    Of several judges the one with the most answers teaches. Raises FatalError where there are too few answers, or all
    are of builds with a cascade, and InputError where the folder holds something else than a model.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(str(folder), "is there and holds no model", "another folder, or an empty one")
    asked = find_rubric(rubric)
    lessons = _gather(root, open_ledger(root), asked)
    model = _train(lessons, len(asked.answers))
    teacher = lessons.rows.row(0, named=True)
    judge = save_model(model, folder, name=f"student/{teacher['judge_model']}", rubric=asked.id)
    distilled = _describe(judge, lessons, asked)
    (folder / CARD).write_text(write_card(distilled), encoding="utf-8")
    (folder / "figures.json").write_text(distilled.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return distilled


def _gather(root: Root, ledger: Ledger, rubric: Rubric) -> _Lessons:
    """Bring the answers in the ledger and the texts of their turns together, and draw the parts."""
    snapshots = list_snapshots(root)
    whole, cascades = ([one for one in snapshots if (STUDENT.name in one.partitions) is has] for has in (False, True))
    lessons = (_read_lessons(root, ledger, piece, rubric) for piece in list_pieces(root, whole, _STAGES))
    rows = pl.concat([_LESSON.to_frame(), *lessons])
    hard = [_read_ok(root, ledger, piece, rubric) for piece in list_pieces(root, cascades, (QUESTIONS,))]
    pair = ["uid", "judge"]
    cascaded = pl.concat(hard).unique(pair).join(rows, on=pair, how="anti").height if hard else 0
    _check_any(rows, cascaded, root, rubric)
    return _choose_teacher(rows, cascaded, root)


def _read_ok(root: Root, ledger: Ledger, piece: Piece, rubric: Rubric) -> pl.DataFrame:
    verdicts = pl.DataFrame(read_answers(root, ledger, piece, rubric))
    return verdicts.filter(pl.col("state") == State.OK).select("uid", "label", "judge", "judge_model")


def _read_lessons(root: Root, ledger: Ledger, piece: Piece, rubric: Rubric) -> pl.DataFrame:
    verdicts = _read_ok(root, ledger, piece, rubric)
    turns = read_partition(root, piece[TURNS])
    known = pl.Series(pl.from_arrow(turns["uid"])).is_in(verdicts["uid"].implode())
    texts = join_texts(read_partition(root, piece[CHATS]), turns.filter(known.to_arrow()))
    units = pl.DataFrame(turns.select(["uid", "user", "group_id"]))
    units = units.select("uid", unit=pl.coalesce("user", "group_id"))
    return verdicts.join(texts, on="uid").join(units, on="uid").select(_LESSON.names()).cast(_LESSON)


def _check_any(rows: pl.DataFrame, cascaded: int, root: Root, rubric: Rubric) -> None:
    if rows.height:
        return
    if cascaded:
        raise FatalError(
            f"{root.url}: all {cascaded:,} answers by {rubric.id} are of builds with `judge.cascade`, which ask only "
            "what a student was unsure of; build once without the cascade, a `--sample` say"
        )
    raise FatalError(
        f"{root.url}: the ledger has no answers by {rubric.id} to questions of a published build; expected a build "
        "with `judge.kind: server` or `offline`, such as one of a `--sample`"
    )


def _choose_teacher(rows: pl.DataFrame, cascaded: int, root: Root) -> _Lessons:
    counts = rows.unique(["uid", "judge"]).group_by("judge", "judge_model").len()
    counts = counts.sort("len", "judge", descending=[True, False])
    own = rows.filter(pl.col("judge") == counts["judge"][0]).unique("uid", keep="first", maintain_order=True)
    single = _merge_copies(own)
    drawn = single.with_columns(draw=hash64(pl.lit("lesson"), "uid")).sort("draw", "uid").head(_MOST_TURNS)
    parted = drawn.drop("draw").with_columns(part=_draw_part()).sort("uid")
    short = [name for name, _ in _PARTS if (parted["part"] == name).sum() < _least(name)]
    if short:
        needed = round(max(_MIN_TRAIN / _PARTS[0][1], _MIN_OTHER / _PARTS[1][1]))
        raise FatalError(
            f"{root.url}: {parted.height} turns judged by {counts['judge_model'][0]} are too few to distil (of them "
            f"{short[0]}: {(parted['part'] == short[0]).sum()}); expected about {needed} or more, of many users, from "
            "builds without a cascade, and no two the same"
        )
    others = counts.slice(1).group_by("judge_model").agg(pl.col("len").sum()).sort("judge_model")
    return _Lessons(parted, dict(others.iter_rows()), own.height - single.height, cascaded)


def _merge_copies(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep each exchange once, that of the least unit: who stands there under two names goes on under one of them."""
    return rows.sort("unit", "uid").unique(_EXCHANGE, keep="first", maintain_order=True)


def _least(part: str) -> int:
    return _MIN_TRAIN if part == "train" else _MIN_OTHER


def _draw_part() -> pl.Expr:
    """Draw the part of each unit: nobody's turns are in two."""
    chance = hash64(pl.lit("distil"), "unit").cast(pl.Float64) / 2**64
    (train, first), (tune, second), (held_out, _) = _PARTS
    rest = pl.when(chance < first + second).then(pl.lit(tune)).otherwise(pl.lit(held_out))
    return pl.when(chance < first).then(pl.lit(train)).otherwise(rest)


def _train(lessons: _Lessons, count: int) -> Model:
    """Train on one part; on another find the temperature at which its probabilities are meant."""
    train, tune = lessons.take("train"), lessons.take("tune")
    model = train_model(train, train["label"].to_numpy(), count=count)
    return fit_temperature(model, tune, tune["label"].to_numpy())


def _describe(judge: EmbeddedJudge, lessons: _Lessons, rubric: Rubric) -> Distilled:
    held_out = lessons.take("held_out")
    probs = judge.model.predict(held_out)
    said = choose_labels(probs)
    beside = held_out.with_columns(pl.Series("said", said), pl.Series("label_probs", probs))
    return Distilled(
        name=judge.manifest.name,
        rubric=rubric.id,
        teacher=lessons.rows["judge_model"][0],
        teacher_judge=lessons.rows["judge"][0],
        turns={part: lessons.take(part).height for part, _ in _PARTS},
        units=lessons.rows["unit"].n_unique(),
        others=lessons.others,
        copies=lessons.copies,
        cascaded=lessons.cascaded,
        sha256=judge.manifest.sha256,
        temperature=judge.model.temperature,
        reading=read(beside, "label", "said", view_of(rubric)),
        curve=tuple(draw_curve(held_out["label"].to_numpy(), said, probs.max(axis=1), held_out["unit"])),
    )


def draw_curve(teacher: Labels, said: Labels, confidence: Floats, units: pl.Series) -> list[Threshold]:
    """Say for each of CONFIDENCES what a cascade saves, and what it costs. All of one length: a turn each.

    units: whose turn it is; those of one vary together.
    """
    labels = int(max(teacher.max(), said.max()))
    curve = []
    for least in CONFIDENCES:
        sure = confidence >= least
        together = np.where(sure, said, teacher)
        right = together == teacher
        curve.append(
            Threshold(
                min_confidence=least,
                saved=share_figure(sure, units),
                sure=share_figure(right[sure], units.filter(pl.Series(sure))),
                whole=share_figure(right, units),
                kappa=kappa(count_pairs(teacher, together, labels)),
            )
        )
    return curve
