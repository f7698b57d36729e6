import json
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from flows.audit.intervals import bound_mean
from flows.cli import main
from flows.judging.comparison import compare_judges
from flows.judging.evaluation import _match, evaluate, evaluate_ledger, evaluate_release, read_gold
from flows.judging.judged import JUDGED, QUESTIONS, TURNS, list_pieces, list_snapshots, read_answers, read_ledger
from flows.judging.pages import lay_out_comparison, lay_out_evaluation
from flows.pages import open_console
from miners.chats.mining.rubrics import find_rubric
from schemas.errors import FatalError, InputError
from schemas.recipe import Recipe, check
from warehouse.agreement import kappa
from warehouse.ledger import open_ledger
from warehouse.partitions import read_partition

RUBRIC = find_rubric("wildreward")
RECIPE = {"name": "r", "inputs": [{"source": "wildchat", "path": "x"}]}


def shown(page):
    """The words of a page, whatever its width."""
    console = open_console()
    with console.capture() as words:
        console.print(page)
    return " ".join(words.get().split())


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
    assert "none of these rows has probabilities" in shown(lay_out_evaluation(found))


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
    assert f"called {found.example}" in shown(lay_out_evaluation(found))


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
    evaluation = evaluate_release(judged.root, "modest", gold)
    found = evaluation.reading
    calibration = found.label_calibration
    assert f"would show {calibration.chance_error:.3f} on so many rows" in shown(lay_out_evaluation(evaluation))
    assert calibration.error == pytest.approx(found.labels.accuracy.value - 0.6, abs=1e-6)
    assert 0 < calibration.chance_error < calibration.error
    assert calibration.scaling.temperature < 1
    assert calibration.scaling.error_after < calibration.scaling.error_before
    assert sum(one.rows for one in calibration.bins) == calibration.rows == len(said)
    assert [one.asked for one in calibration.coverages] == [0.8, 0.9, 0.95]
    for one in calibration.coverages:
        assert sum(one.sizes) == calibration.scaling.rows
        assert one.reached.high >= one.asked
    assert found.class_calibration.rows == len(said)


def test_a_majority_that_is_not_the_likeliest_label_is_held_to_its_own_probability(judged, gold):
    said = judged.turns["taught"].to_list()
    probs = [[0.4 if place == label else 0.6 * (place == label % 5 + 1) for place in range(1, 6)] for label in said]
    judged.release("votes", "votes", probs=probs)
    found = evaluate_release(judged.root, "votes", gold).reading
    for calibration, scale in (
        (found.label_calibration, found.labels),
        (found.class_calibration, found.classes),
    ):
        right = sum(one.rows * one.accuracy.value for one in calibration.bins) / calibration.rows
        assert right == pytest.approx(scale.accuracy.value) != 0
    [one] = found.label_calibration.bins
    assert one.confidence == pytest.approx(0.4)
    assert found.label_calibration.scaling.error_before == pytest.approx(0.5, abs=0.1)
    claimed = sum(one.rows * one.confidence for one in found.class_calibration.bins) / len(said)
    together = [label in (1, 4) for label in said]  # a class holds both labels: 1 and 2, or 4 and 5
    assert claimed == pytest.approx(np.mean(np.where(together, 1, 0.4)), abs=1e-6)


def test_rows_without_probabilities_take_none_from_the_others(judged, gold):
    said = judged.turns["taught"].to_list()
    probs = [[0.6 if place == label else 0.1 for place in range(1, 6)] for label in said]
    judged.release("gaps", "gaps", probs=[None, None, *probs[2:]])
    found = evaluate_release(judged.root, "gaps", gold)
    calibration = found.reading.label_calibration
    assert (calibration.rows, found.reading.labels.rows) == (len(said) - 2, len(said))
    assert calibration.scaling is not None
    assert len(calibration.coverages) == 3
    assert f"{len(said) - 2} of {len(said)} rows have probabilities" in shown(lay_out_evaluation(found))


def test_the_fitted_temperature_is_a_line_of_a_recipe(judged, gold):
    said = judged.turns["taught"].to_list()
    judged.release("line", "line", probs=[[0.6 if at == label else 0.1 for at in range(1, 6)] for label in said])
    found = evaluate_release(judged.root, "line", gold)
    [line] = re.findall(r"feedback: \{.*?\}", shown(lay_out_evaluation(found)))
    scaling = found.reading.label_calibration.scaling
    assert check(Recipe, RECIPE | yaml.safe_load(line), "r").feedback.temperature == round(scaling.temperature, 2) < 1
    worse = scaling.model_copy(update={"loss_after": scaling.loss_before})
    calibration = found.reading.label_calibration.model_copy(update={"scaling": worse})
    update = {"reading": found.reading.model_copy(update={"label_calibration": calibration})}
    assert "no `feedback.temperature`" in shown(lay_out_evaluation(found.model_copy(update=update)))


@pytest.fixture
def raised(judged, monkeypatch):
    """A warehouse whose rubric has a new version by now; raised(answers_since=1) says since when its labels are."""

    def raise_version(answers_since=1):
        new = replace(RUBRIC, version=RUBRIC.version + 1, system=f"Think. {RUBRIC.system}", answers_since=answers_since)
        for module in ("evaluation", "comparison", "drift"):
            monkeypatch.setattr(f"flows.judging.{module}.find_rubric", lambda _: new)
        return new

    return raise_version


def test_answers_of_an_earlier_prompt_are_read_before_and_after_the_next_build(judged, gold, raised, tmp_path):
    new = raised()
    [before] = evaluate_ledger(judged.root, "wildreward", gold)
    assert (before.rubric, before.matched) == (RUBRIC.id, judged.turns.height)
    other = write_gold(tmp_path / "other.csv", [("nobody", 0, 3)])
    assert evaluate_release(judged.root, "feedback", other).rubric == RUBRIC.id
    judged.release("feedback", "teacher", labels=judged.turns["truth"].to_list()[:40], rubric=new)
    found = evaluate_ledger(judged.root, "wildreward", gold)
    assert [(one.rubric, one.matched) for one in found] == [(RUBRIC.id, judged.turns.height), (new.id, 40)]
    assert found[0].reading == before.reading
    assert found[1].reading.labels.kappa.value == 1
    assert all(one.rubric in shown(lay_out_evaluation(one)) for one in found)


def test_answers_of_a_prompt_that_had_other_labels_are_none(judged, gold, raised):
    raised(answers_since=RUBRIC.version + 1)
    with pytest.raises(FatalError, match="no answers by wildreward@"):
        evaluate_ledger(judged.root, "wildreward", gold)
    with pytest.raises(FatalError, match="whose answers are not those of"):
        evaluate_release(judged.root, "feedback", gold)


def test_a_student_learns_from_todays_prompt_alone(judged, raised):
    new = raised()
    [snapshot] = list_snapshots(judged.root)
    piece = next(list_pieces(judged.root, [snapshot], (QUESTIONS, TURNS)))
    assert read_answers(judged.root, open_ledger(judged.root), piece, new).num_rows == 0
    assert read_answers(judged.root, open_ledger(judged.root), piece, new, new.alike).num_rows > 0


def test_any_two_judges_of_the_ledger_are_compared_without_gold(judged, raised):
    new, turns = raised(), judged.turns
    judged.release("later", "teacher", labels=turns["truth"].to_list()[:40], rubric=new)
    judged.release("third", "other", labels=turns["taught"].to_list()[:50], failed=turns["uid"].to_list()[:5])
    found = compare_judges(judged.root, "wildreward")
    assert [(one.rubric, one.model, one.turns) for one in found.judges] == [
        (RUBRIC.id, "teacher", turns.height),
        (RUBRIC.id, "other", 45),
        (new.id, "teacher", 40),
    ]
    assert [(one.first, one.second, one.turns) for one in found.pairs] == [(0, 1, 45), (0, 2, 40), (1, 2, 35)]
    same, prompts, _ = found.pairs
    assert (same.equal.value, same.kappa.value) == (1, 1)
    both = turns.head(40)
    assert prompts.equal.value == (both["truth"] == both["taught"]).sum() / 40 < 1
    assert both["user"].n_unique() < both["group_id"].n_unique()
    right = (both["truth"] == both["taught"]).to_numpy().astype(float)
    assert (prompts.equal.low, prompts.equal.high) == bound_mean(right, units=both["user"])
    counts = [both.filter(taught=one, truth=two).height for one in range(1, 6) for two in range(1, 6)]
    assert prompts.kappa.value == kappa(np.reshape(counts, (5, 5)).astype(float), 2)
    assert prompts.kappa.low <= prompts.kappa.value <= prompts.kappa.high
    page = shown(lay_out_comparison(found))
    assert all(name in page for name in (RUBRIC.id, new.id, "1 and 3", "quadratic weights"))


def test_a_judge_alone_and_judges_without_a_turn_of_both_have_no_figures(judged):
    [one] = compare_judges(judged.root, "wildreward").judges
    assert "nothing to compare it with" in shown(lay_out_comparison(compare_judges(judged.root, "wildreward")))
    uids = judged.turns["uid"].to_list()
    judged.release("rest", "rest", failed=uids[:-1])
    judged.release("first", "first", labels=judged.turns["taught"].to_list()[:5])
    found = compare_judges(judged.root, "wildreward")
    assert found.judges[0] == one
    assert [pair.turns for pair in found.pairs] == [5, 1, 0]
    assert math.isnan(found.pairs[-1].kappa.value)
    assert "2 and 3" in shown(lay_out_comparison(found))


def test_two_readings_settle_on_what_says_less(tmp_path):
    rows = [("a", 0, 1, 2), ("a", 1, 3, 5), ("b", 0, 4, 2), ("b", 1, 5, 5), ("c", 0, 2, 3)]
    gold = read_gold(write_gold(tmp_path / "g.csv", rows, ("conversation_id", "turn", "first", "second")), RUBRIC)
    assert gold["label"].to_list() == [2, 3, 4, 5, 3]


def test_an_adjudicated_label_counts_and_the_readings_tell_how_far_they_agree(tmp_path):
    columns = ("conversation_id", "turn", "first", "second", "label")
    rows = [("a", 0, 1, 2, 1), ("a", 1, 3, 5, 4), ("b", 0, 4, 4, 5)]
    gold = read_gold(write_gold(tmp_path / "g.csv", rows, columns), RUBRIC)
    assert gold["label"].to_list() == [1, 4, 5]
    assert evaluate("nobody", JUDGED.to_frame(), gold, RUBRIC).readers.labels.accuracy.value == 1 / 3
    path = write_gold(tmp_path / "h.csv", [*rows, ("b", 1, 4, 4, "")], columns)
    with pytest.raises(InputError, match="line 5: is no reading"):
        read_gold(path, RUBRIC)


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


def judge_turns(users):
    """Verdicts on five turns of each of some conversations, whose users are given, and gold of first and second."""
    places = pl.DataFrame({"conversation_id": [f"c{at}" for at in range(len(users))], "user": users})
    turns = places.join(pl.DataFrame({"turn": range(5)}, {"turn": pl.Int32}), how="cross").with_row_index("at")
    label = (pl.col("at") * 7 % 4 + 2).cast(pl.Int32)
    beside = turns.with_columns(label=label, group_id="test/" + pl.col("conversation_id"), state=pl.lit("ok"))
    known = beside.with_columns(uid=pl.col("at").cast(pl.String), rubric=pl.lit(RUBRIC.id), judge_model=pl.lit("j"))
    empty = [pl.lit(None, kind).alias(name) for name, kind in JUDGED.items() if name not in known.columns]
    said = known.select(*known.columns, *empty).select(JUDGED.names()).cast(JUDGED)
    true = pl.when(pl.col("at") % 6 == 0).then(5).otherwise("label").cast(pl.Int64)
    gold = beside.select("conversation_id", pl.col("turn").cast(pl.Int64), label=true, first=true, second="label")
    return said, gold.with_columns(pl.col("second").cast(pl.Int64))


def test_turns_of_one_user_vary_together_and_where_nobody_is_known_those_of_a_conversation():
    said, gold = judge_turns(["ada", "ada", None])
    more = pl.concat([gold, gold.head(1).with_columns(turn=pl.lit(9, pl.Int64))])  # one that nobody judged
    beside = _match(said, more)
    assert beside.select("conversation_id", "unit").unique().sort("conversation_id").rows() == [
        ("c0", "ada"),
        ("c1", "ada"),
        ("c2", "c2"),
    ]


def test_one_user_alone_bounds_no_figure():
    alone = evaluate("x", *judge_turns(["one"] * 20), RUBRIC)
    for reading in (alone.reading, alone.readers):
        scale = reading.labels
        neutral = scale.labels[2]
        for figure in (scale.accuracy, scale.kappa, neutral.precision, neutral.recall, neutral.f1):
            assert figure.value > 0
            assert math.isnan(figure.low)
            assert math.isnan(figure.high)
    page = shown(lay_out_evaluation(alone))
    assert "(-)" in page
    assert "nan" not in page


def test_the_command_prints_tables_and_json(judged, gold):
    arguments = ["judge", "eval", "feedback", "--root", judged.root.url, "--gold", str(gold)]
    page = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert page.exit_code == 0
    assert f"{judged.turns.height} of {judged.turns.height} gold rows" in page.output
    assert "quadratic kappa" in page.output
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False).output)
    assert told["matched"] == judged.turns.height
    ledger = ["judge", "eval", "--ledger", "--root", judged.root.url, "--gold", str(gold), "--json"]
    [one] = json.loads(CliRunner().invoke(main, ledger, catch_exceptions=False).output)
    assert one["reading"] == told["reading"]
    compare = ["judge", "compare", "--root", judged.root.url, "--json"]
    [own] = json.loads(CliRunner().invoke(main, compare, catch_exceptions=False).output)["judges"]
    assert (own["rubric"], own["model"], own["turns"]) == (RUBRIC.id, "teacher", judged.turns.height)
    assert CliRunner().invoke(main, ["judge", "eval", "x", "--ledger", "--gold", str(gold)]).exit_code == 2
