import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.judging.distillation import CONFIDENCES, distill, draw_curve
from miners.chats.embedded.model import choose_labels, open_model
from miners.chats.mining.texts import join_texts
from schemas.errors import FatalError, InputError


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
    assert sum(found.turns.values()) == judged.turns["uid"].n_unique()
    assert found.units == judged.turns["user"].n_unique()
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


def test_the_curve_counts_as_its_words_say():
    teacher, said = np.array([1, 2, 3, 3, 5]), np.array([1, 3, 3, 3, 4])
    curve = {at.min_confidence: at for at in draw_curve(teacher, said, np.array([0.95, 0.95, 0.85, 0.6, 0.4]))}
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
