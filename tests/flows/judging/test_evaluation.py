import json
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.judging.calibration import calibrate, draw_half
from flows.judging.evaluation import evaluate_ledger, evaluate_release, read_gold
from flows.judging.judged import list_snapshots, read_ledger
from flows.judging.pages import lay_out_evaluation
from flows.judging.scales import compare, sign_labels, sign_probs
from flows.pages import open_console
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.views import NOF, WILDREWARD
from schemas.errors import FatalError, InputError
from warehouse.ledger import open_ledger
from warehouse.partitions import read_partition

RUBRIC = find_rubric("wildreward")


def write_gold(path, rows, columns=("conversation_id", "turn", "label")):
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")
    return path


@pytest.fixture
def judged(judged_warehouse):
    warehouse = judged_warehouse(60)
    warehouse.release()
    return warehouse


@pytest.fixture
def gold(judged, tmp_path):
    """What is true of every turn."""
    return write_gold(tmp_path / "gold.csv", judged.turns.select("conversation_id", "turn", "truth").rows())


def test_a_release_is_measured_by_all_that_was_judged_neutral_turns_included(judged, gold):
    found = evaluate_release(judged.root, "feedback", gold)
    turns = judged.turns
    assert (found.gold, found.matched, found.missed) == (turns.height, turns.height, ())
    assert found.judges == {"teacher": turns.height}
    labels = found.reading.labels
    right = (turns["truth"] == turns["taught"]).sum()
    assert labels.accuracy.value == right / turns.height < 1
    assert [list(row) for row in labels.matrix] == [
        [turns.filter(truth=true, taught=said).height for said in range(1, 6)] for true in range(1, 6)
    ]
    neutral = labels.labels[2]
    assert neutral.gold == turns.filter(truth=3).height > 0
    assert neutral.recall.value == turns.filter(truth=3, taught=3).height / neutral.gold
    assert neutral.precision.low < neutral.precision.value < neutral.precision.high
    assert labels.kappa.low <= labels.kappa.value <= labels.kappa.high
    assert found.reading.classes.accuracy.value >= labels.accuracy.value
    assert found.reading.label_calibration is None  # it gives no probabilities


def test_rows_without_a_label_are_counted_and_named(judged, tmp_path):
    first, second = judged.turns["conversation_id"].unique(maintain_order=True)[:2]
    failed = judged.turns.filter(conversation_id=first, turn=0)["uid"].to_list()
    judged.release("half", "other", failed=failed)
    gold = write_gold(tmp_path / "gold.csv", [(first, 0, 3), (second, 0, 3), (second, 99, 3), ("nobody", 0, 3)])
    found = evaluate_release(judged.root, "half", gold)
    assert (found.gold, found.matched) == (4, 1)
    missed = [(one.conversation_id, one.turn, one.reason) for one in found.missed]
    assert missed == [(first, 0, "timeout"), (second, 99, "not judged"), ("nobody", 0, "not judged")]


def test_of_two_ways_in_which_a_judge_was_asked_that_of_the_first_build_counts(judged):
    judged.release("later", labels=(judged.turns["taught"] % 5 + 1).to_list(), history_chars=0)
    found = read_ledger(judged.root, open_ledger(judged.root), RUBRIC).filter(pl.col("turn") > 0)  # with a history
    taught = judged.turns.filter(pl.col("turn") > 0).select("uid", "taught")
    assert dict(found.select("uid", "label").rows()) == dict(taught.rows())


def test_what_stands_in_several_builds_is_read_once(judged, monkeypatch):
    [snapshot] = list_snapshots(judged.root)
    judged.root.write_record("snapshots/feedback/again.json", snapshot.model_copy(update={"build": "again"}))
    files = Counter()

    def read(root, partition, *columns):
        files[partition.file] += 1
        return read_partition(root, partition, *columns)

    monkeypatch.setattr("flows.judging.judged.read_partition", read)
    found = read_ledger(judged.root, open_ledger(judged.root), RUBRIC)
    assert found.height == judged.turns["uid"].n_unique()
    assert set(files.values()) == {1}


def test_gold_that_matches_nothing_is_an_answer_too(judged, tmp_path):
    found = evaluate_release(judged.root, "feedback", write_gold(tmp_path / "gold.csv", [("nobody", 0, 3)]))
    assert found.reading is None
    assert found.example in set(judged.turns["conversation_id"])
    console = open_console()
    with console.capture() as shown:
        console.print(lay_out_evaluation(found))
    assert f"called {found.example}" in " ".join(shown.get().split())


def test_the_ledger_knows_every_judge_apart(judged, gold):
    perfect = judged.turns["truth"].to_list()
    judged.release("second", "perfect", labels=perfect[:40])
    found = evaluate_ledger(judged.root, "wildreward", gold)
    assert [one.what.partition(",")[0] for one in found] == ["teacher", "perfect"]
    assert [one.matched for one in found] == [judged.turns.height, 40]
    assert found[1].reading.labels.kappa.value == 1
    assert found[0].reading.labels.kappa.value < 1
    with pytest.raises(FatalError, match="no answers by nof@"):
        evaluate_ledger(judged.root, "nof", gold)


def test_probabilities_are_held_to_their_word(judged, gold):
    """Every label is said with 60%, and 9 of 10 are right: the judge is too modest, and a temperature tells."""
    said = judged.turns["taught"].to_list()
    probs = [[0.6 if place == label else 0.1 for place in range(1, 6)] for label in said]
    judged.release("modest", "modest", probs=probs)
    found = evaluate_release(judged.root, "modest", gold).reading
    calibration = found.label_calibration
    assert calibration.error.value == pytest.approx(found.labels.accuracy.value - 0.6, abs=1e-6)
    assert calibration.error.low <= calibration.error.value <= calibration.error.high
    assert calibration.scaling.temperature < 1
    assert calibration.scaling.error_after < calibration.scaling.error_before
    assert sum(one.rows for one in calibration.bins) == calibration.rows == len(said)
    assert [one.asked for one in calibration.coverages] == [0.8, 0.9, 0.95]
    for one in calibration.coverages:
        assert sum(one.sizes) == calibration.scaling.rows
        assert one.reached.high >= one.asked
    assert found.class_calibration.rows == len(said)


def test_two_readings_settle_on_what_says_less(tmp_path):
    rows = [("a", 0, 1, 2), ("a", 1, 3, 5), ("b", 0, 4, 2), ("b", 1, 5, 5), ("c", 0, 2, 3)]
    gold = read_gold(write_gold(tmp_path / "g.csv", rows, ("conversation_id", "turn", "first", "second")), RUBRIC)
    assert gold["label"].to_list() == [2, 3, 4, 5, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conversation_id,turn\na,1\n", "no column label"),
        ("conversation_id,turn,label\na,1,3\nb,1,6\n", "line 3: is no reading"),
        ("conversation_id,turn,label\na,x,3\n", "line 2: is no reading"),
        ("conversation_id,turn,label\na,-1,3\n", "line 2: is no reading"),
        ("conversation_id,turn,label\n,1,3\n", "line 2: is no reading"),
        ("conversation_id,turn,label\na,1,3\na,1,4\n", "line 3: has a turn that stands above"),
        ("", "is no table"),
        ("conversation_id,turn,label\n", "holds no row"),
    ],
)
def test_gold_that_says_nothing_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_gold(path, RUBRIC)


def test_f1_is_that_of_precision_and_recall():
    gold, said = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 1, 2, 2, 3, 3])
    scale = compare(gold, said, ("a", "b", "c"), pl.Series(range(6)), ordered=False)
    assert (scale.linear, scale.quadratic) == (None, None)
    for one in scale.labels:
        precision, recall = one.precision.value, one.recall.value
        assert one.f1.value == pytest.approx(2 * precision * recall / (precision + recall))
        assert one.f1.low < one.f1.value <= one.f1.high


def test_a_label_that_nobody_gave_has_no_figures():
    ones = np.ones(4, np.int64)
    scale = compare(ones, ones, ("a", "b"), pl.Series(range(4)), ordered=True)
    assert math.isnan(scale.kappa.value)
    assert math.isnan(scale.labels[1].f1.value)
    assert json.loads(scale.model_dump_json())["kappa"]["value"] is None


def test_views_say_what_is_negative():
    assert sign_labels(np.arange(1, 6), WILDREWARD).tolist() == [1, 1, 2, 3, 3]
    assert sign_labels(np.arange(1, 7), NOF).tolist() == [1, 1, 1, 1, 3, 2]
    assert sign_probs(np.array([[0.1, 0.2, 0.3, 0.25, 0.15]]), WILDREWARD) == pytest.approx(np.array([[0.3, 0.3, 0.4]]))


def test_turns_of_one_conversation_fall_into_one_half():
    units = pl.Series([f"chat {number // 5}" for number in range(500)])
    half = draw_half(units)
    assert 150 < half.sum() < 350
    assert all(len(set(half[start : start + 5])) == 1 for start in range(0, 500, 5))
    assert (half != draw_half(units, seed=1)).any()


def test_few_rows_fit_nothing():
    found = calibrate(np.full((8, 2), 0.5), np.array([1, 2] * 4), pl.Series(range(8)))
    assert (found.scaling, found.coverages) == (None, ())


def test_the_command_prints_tables_and_json(judged, gold):
    arguments = ["judge", "eval", "feedback", "--root", judged.root.url, "--gold", str(gold)]
    shown = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert f"{judged.turns.height} of {judged.turns.height} gold rows" in shown.output
    assert "quadratic kappa" in shown.output
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False).output)
    assert told["matched"] == judged.turns.height
    ledger = ["judge", "eval", "--ledger", "--root", judged.root.url, "--gold", str(gold), "--json"]
    [one] = json.loads(CliRunner().invoke(main, ledger, catch_exceptions=False).output)
    assert one["reading"] == told["reading"]
    assert CliRunner().invoke(main, ["judge", "eval", "x", "--ledger", "--gold", str(gold)]).exit_code == 2
