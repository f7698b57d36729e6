"""Distillation: a student of the ledger's judge, small enough to answer on the CPU where it is sure.

It learns from the `ok` answers to questions of published builds, and is judged on users (or, where nobody is known,
conversations) that it has not seen. How it does there is how well it repeats its teacher, not how right it is.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.judging.calibration import share_figure
from flows.judging.evaluation import read, view_of
from flows.judging.judged import CHATS, QUESTIONS, TURNS, list_pieces, list_snapshots, read_answers
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
from warehouse.agreement import Floats, count_pairs, kappa
from warehouse.ledger import Ledger, open_ledger
from warehouse.partitions import read_partition
from warehouse.root import Root

CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""At which the curve of the cascade is drawn."""

_PARTS = (("train", 0.7), ("tune", 0.1), ("held_out", 0.2))
_MIN_TRAIN, _MIN_OTHER = 200, 40  # turns; of fewer its figures say nothing
_MOST_TURNS = 200_000  # those with the smallest hash; more teach so small a model nothing
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
    """Turns with texts and the labels of one teacher. others: {model: turns} of the judges left out."""

    rows: pl.DataFrame
    others: dict[str, int]

    def take(self, part: str) -> pl.DataFrame:
        return self.rows.filter(pl.col("part") == part)


def distill(root: Root, rubric: str, folder: Path) -> Distilled:
    """Train a student on what the ledger's judges said by a rubric, and write its folder, with manifest and card.

    Of several judges the one with the most answers teaches. Raises FatalError where there are too few answers, and
    InputError where the folder holds something else than a model.
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
    found = [_LESSON.to_frame()]
    stages = (CHATS, TURNS, QUESTIONS)
    for piece in list_pieces(root, list_snapshots(root), stages):
        verdicts = pl.DataFrame(read_answers(root, ledger, piece, rubric)).filter(pl.col("state") == State.OK)
        turns = read_partition(root, piece[TURNS])
        known = pl.Series(pl.from_arrow(turns["uid"])).is_in(verdicts["uid"].implode())
        texts = join_texts(read_partition(root, piece[CHATS]), turns.filter(known.to_arrow()))
        units = pl.DataFrame(turns.select(["uid", "user", "group_id"]))
        units = units.select("uid", unit=pl.coalesce("user", "group_id"))
        joined = verdicts.select("uid", "label", "judge", "judge_model").join(texts, on="uid").join(units, on="uid")
        found.append(joined.select(_LESSON.names()).cast(_LESSON))
    return _choose_teacher(pl.concat(found), root, rubric)


def _choose_teacher(rows: pl.DataFrame, root: Root, rubric: Rubric) -> _Lessons:
    counts = rows.unique(["uid", "judge"]).group_by("judge", "judge_model").len()
    counts = counts.sort("len", "judge", descending=[True, False])
    if counts.is_empty():
        raise FatalError(
            f"{root.url}: the ledger has no answers by {rubric.id} to questions of a published build; expected a build "
            "with `judge.kind: server` or `offline`, such as one of a `--sample`"
        )
    own = rows.filter(pl.col("judge") == counts["judge"][0]).unique("uid", keep="first", maintain_order=True)
    drawn = own.with_columns(draw=hash64(pl.lit("lesson"), "uid")).sort("draw", "uid").head(_MOST_TURNS)
    parted = drawn.drop("draw").with_columns(part=_draw_part()).sort("uid")
    short = [name for name, _ in _PARTS if (parted["part"] == name).sum() < _least(name)]
    if short:
        needed = round(max(_MIN_TRAIN / _PARTS[0][1], _MIN_OTHER / _PARTS[1][1]))
        raise FatalError(
            f"{root.url}: {parted.height} turns judged by {counts['judge_model'][0]} are too few to distil (of them "
            f"{short[0]}: {(parted['part'] == short[0]).sum()}); expected about {needed} or more, of many users"
        )
    others = counts.slice(1).group_by("judge_model").agg(pl.col("len").sum()).sort("judge_model")
    return _Lessons(parted, dict(others.iter_rows()))


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
    beside = held_out.with_columns(
        pl.Series("said", said), pl.Series("label_probs", probs), conversation_id=pl.col("unit")
    )
    view = view_of(rubric)
    return Distilled(
        name=judge.manifest.name,
        rubric=rubric.id,
        teacher=lessons.rows["judge_model"][0],
        teacher_judge=lessons.rows["judge"][0],
        turns={part: lessons.take(part).height for part, _ in _PARTS},
        units=lessons.rows["unit"].n_unique(),
        others=lessons.others,
        sha256=judge.manifest.sha256,
        temperature=judge.model.temperature,
        reading=read(beside, "label", "said", view),
        curve=tuple(draw_curve(held_out["label"].to_numpy(), said, probs.max(axis=1))),
    )


def draw_curve(teacher: npt.NDArray[np.int64], said: npt.NDArray[np.int64], confidence: Floats) -> list[Threshold]:
    """Say for each of CONFIDENCES what a cascade saves, and what it costs. All of one length: a turn each."""
    labels = int(max(teacher.max(), said.max()))
    curve = []
    for least in CONFIDENCES:
        sure = confidence >= least
        together = np.where(sure, said, teacher)
        right = int((said[sure] == teacher[sure]).sum())
        curve.append(
            Threshold(
                min_confidence=least,
                saved=share_figure(int(sure.sum()), len(sure)),
                sure=share_figure(right, int(sure.sum())),
                whole=share_figure(right + int((~sure).sum()), len(sure)),
                kappa=kappa(count_pairs(teacher, together, labels)),
            )
        )
    return curve
