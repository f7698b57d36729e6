import copy
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from flows.audit.intervals import bound_share
from flows.cascade import STUDENT
from flows.cli import main
from flows.judging.calibration import Figure
from flows.judging.distillation import CONFIDENCES, _gather, distill, draw_curve
from flows.judging.student_card import write_card
from miners.chats.embedded.model import choose_labels, open_model
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.texts import join_texts
from miners.chats.mining.turns import find_turns
from schemas.errors import FatalError, InputError
from schemas.manifest import Snapshot
from warehouse.ledger import open_ledger

RUBRIC = find_rubric("wildreward")
EXCHANGE = ["query", "reply", "feedback"]


def release_cascade(warehouse, *arguments):
    """One more build, before whose judge a student was asked."""
    manifest = warehouse.release(*arguments)
    key = f"snapshots/{manifest.name}/{manifest.build}.json"
    snapshot = warehouse.root.read_record(key, Snapshot)
    stages = {**snapshot.partitions, STUDENT.name: {"in": ()}}
    warehouse.root.write_record(key, snapshot.model_copy(update={"partitions": stages}))


def release_again(warehouse):
    """The same corpus under another name, with other ids of its users and conversations."""
    chats = pl.DataFrame(warehouse.chats).with_columns(
        pl.col("group_id").str.replace("test/", "again/"), pl.col("user").str.reverse()
    )
    twin = copy.copy(warehouse)
    twin.chats = pa.Table.from_batches(chats.to_arrow().to_batches()).cast(warehouse.chats.schema)
    twin.table = find_turns(twin.chats).kept
    renamed = pl.DataFrame(twin.table).select("uid", "group_id")
    assert not set(renamed["uid"]) & set(warehouse.turns["uid"])
    twin.turns = warehouse.turns.with_columns(renamed)
    twin.release("again", history_chars=0)


@pytest.fixture(scope="module")
def judged(judged_warehouse):
    """A teacher, and judges that answered about less."""
    warehouse = judged_warehouse(200)
    warehouse.release()
    warehouse.release("other", "smaller", labels=[3] * 50)
    warehouse.release("third", "failing", failed=warehouse.turns["uid"].to_list()[:30])
    return warehouse


@pytest.fixture(scope="module")
def distilled(judged, tmp_path_factory):
    """(the student's folder, what distilling told)"""
    folder = tmp_path_factory.mktemp("student")
    return folder, distill(judged.root, "wildreward", folder)


def test_a_student_learns_what_its_teacher_says_and_leaves_out_its_noise(judged, distilled):
    folder, found = distilled
    turns = judged.turns["uid"].n_unique()
    assert sum(found.turns.values()) == join_texts(judged.chats, judged.table).unique(EXCHANGE).height
    assert found.copies == turns - sum(found.turns.values()) > 0  # some dialogues are copies
    assert found.cascaded == 0
    labels = found.reading.labels
    assert labels.rows == found.turns["held_out"]
    assert labels.kappa.value > 0.6
    student = open_model(str(folder))
    said = choose_labels(student.model.predict(join_texts(judged.chats, judged.table)))
    noise = judged.turns.with_columns(said=said).filter(pl.col("taught") != pl.col("truth"))
    # What follow-ups say can be learned, and where the teacher errs at random cannot.
    assert (
        noise.filter(pl.col("said") == pl.col("truth")).height
        > 2 * noise.filter(pl.col("said") == pl.col("taught")).height
    )
    assert (student.manifest.name, student.manifest.rubric) == ("student/teacher", "wildreward@2")
    assert student.manifest.sha256 == found.sha256
    card = (folder / "CARD.md").read_text()
    assert f"{found.turns['held_out']:,} held out" in card
    assert all(f"| {least:g} |" in card for least in CONFIDENCES)
    assert "| positive engagement |" in card


def test_the_curve_saves_less_and_agrees_more_the_more_confidence_is_asked(distilled):
    curve = distilled[1].curve
    assert [at.min_confidence for at in curve] == list(CONFIDENCES)
    saved = [at.saved.value for at in curve]
    whole = [at.whole.value for at in curve]
    assert saved == sorted(saved, reverse=True)
    assert whole == sorted(whole)
    assert saved[0] > 0.5


def test_the_judge_with_most_answers_teaches_and_failures_teach_nothing(judged, distilled):
    assert distilled[1].teacher == "teacher"
    assert distilled[1].others == {"failing": judged.turns.height - 30, "smaller": 50}


def test_an_exchange_under_two_names_is_learned_once_and_nobody_is_in_two_parts(judged_warehouse):
    warehouse = judged_warehouse(200)
    warehouse.release()
    alone = _gather(warehouse.root, open_ledger(warehouse.root), RUBRIC).rows
    release_again(warehouse)
    lessons = _gather(warehouse.root, open_ledger(warehouse.root), RUBRIC)
    assert lessons.rows.height == alone.height == lessons.rows.unique(EXCHANGE).height
    assert lessons.copies == 2 * warehouse.turns.height - alone.height
    train, held_out = lessons.take("train"), lessons.take("held_out")
    assert train.join(held_out, on=EXCHANGE).is_empty()
    people = [set(part["unit"]) | {name[::-1] for name in part["unit"]} for part in (train, held_out)]
    assert not people[0] & people[1]


def test_builds_with_a_cascade_teach_nothing_and_their_answers_are_counted(judged_warehouse, distilled, tmp_path):
    warehouse = judged_warehouse(200)
    turns, known = warehouse.turns.height, 650
    release_cascade(warehouse, "hard")
    with pytest.raises(FatalError, match=f"all {turns} answers .* build once without the cascade"):
        distill(warehouse.root, "wildreward", tmp_path / "student")
    warehouse.release("whole", "teacher", warehouse.turns["taught"].to_list()[:known])
    lessons = _gather(warehouse.root, open_ledger(warehouse.root), RUBRIC)
    assert lessons.rows.height + lessons.copies == known
    assert lessons.cascaded == turns - known > 0
    card = write_card(distilled[1].model_copy(update={"cascaded": lessons.cascaded}))  # what the command prints
    assert f"Left out: {lessons.cascaded} answers of builds with a cascade" in card


def test_figures_of_agreement_vary_by_user(distilled):
    """Wilson's bounds would be those of so many turns; where all agree, they are those of so many users."""
    found = distilled[1]
    for scale in (found.reading.labels, found.reading.classes):
        assert (scale.accuracy.low, scale.accuracy.high) != bound_share(scale.accuracy.value * scale.rows, scale.rows)
        assert scale.accuracy.low < scale.accuracy.value < scale.accuracy.high
    ones, units = np.ones(40, np.int64), pl.Series(np.arange(40) // 10)
    at = draw_curve(ones, ones, np.full(40, 0.55), units)[0]
    assert [(one.value, one.low, one.high) for one in (at.saved, at.sure, at.whole)] == [(1, *bound_share(4, 4))] * 3


def test_a_card_shows_no_bounds_where_there_are_none(distilled):
    found = distilled[1]
    alone = draw_curve(np.array([1, 2]), np.array([1, 2]), np.array([0.9, 0.9]), pl.Series(["one", "one"]))
    perfect = found.reading.labels.model_copy(update={"kappa": Figure(value=1, low=np.nan, high=np.nan)})
    reading = found.reading.model_copy(update={"labels": perfect})
    card = write_card(found.model_copy(update={"reading": reading, "curve": tuple(alone)}))
    assert "| 0.5 | 100.0% (-) | 100.0% (-) | 100.0% (-) |" in card
    assert "| kappa | 1.000 | - |" in card
    assert f"would show {found.reading.label_calibration.chance_error:.3f} on so many turns by chance" in card
    assert "nan" not in card


def test_the_curve_counts_as_its_words_say():
    teacher, said = np.array([1, 2, 3, 3, 5]), np.array([1, 3, 3, 3, 4])
    sure, units = np.array([0.95, 0.95, 0.85, 0.6, 0.4]), pl.Series(range(5))
    curve = {at.min_confidence: at for at in draw_curve(teacher, said, sure, units)}
    assert curve[0.9].saved.value == 2 / 5
    assert curve[0.9].sure.value == 1 / 2
    assert curve[0.9].whole.value == 4 / 5
    assert curve[0.5].sure.value == 3 / 4
    assert curve[0.99].saved.value == 0
    assert np.isnan(curve[0.99].sure.value)
    assert curve[0.99].kappa == 1


def test_too_few_answers_and_folders_of_something_else_are_refused(judged_warehouse, tmp_path):
    warehouse = judged_warehouse(20)
    with pytest.raises(FatalError, match="no answers by wildreward@2"):
        distill(warehouse.root, "wildreward", tmp_path / "student")
    warehouse.release()
    with pytest.raises(FatalError, match="too few to distil"):
        distill(warehouse.root, "wildreward", tmp_path / "student")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(InputError, match="holds no model"):
        distill(warehouse.root, "wildreward", tmp_path / "letters")
    assert not (tmp_path / "student").exists()


def test_the_command_prints_the_card_and_makes_the_same_student(judged, distilled):
    folder, found = distilled
    weights = (folder / "weights.npz").read_bytes()
    shown = CliRunner().invoke(main, ["judge", "distill", "--root", judged.root.url, "--out", str(folder)])
    assert shown.exit_code == 0
    assert "judge.cascade.student" in shown.output
    assert (folder / "weights.npz").read_bytes() == weights
    assert json.loads((folder / "figures.json").read_text()) == json.loads(found.model_dump_json())
