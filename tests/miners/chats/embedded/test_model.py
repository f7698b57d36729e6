import hashlib
import json
from importlib.resources import files

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from miners.chats.embedded.model import (
    MANIFEST,
    WEIGHTS,
    choose_labels,
    fit_temperature,
    judge_turns,
    open_model,
    save_model,
    train_model,
)
from miners.chats.embedded.seeds import load_exchanges, load_seeds
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.turns import find_turns
from miners.dialogues import FollowUp, write_dialogues
from schemas.errors import InputError
from schemas.judging import VERDICT
from schemas.mining import CHAT

FOLLOW_UPS = ["it fails with an error", "go on with the next part", "thank you, great", "it is wrong", "and in winter?"]
LABELS = np.array([2, 3, 4, 2, 3])


def as_texts(feedback):
    return pl.DataFrame({"query": "plan a garden", "reply": "Dig first.", "feedback": feedback})


def as_chats(dialogues):
    rows = [
        {
            "source": "test",
            "conversation_id": one.key,
            "group_id": f"test/{one.key}",
            "messages": [{"role": said.role, "content": said.text} for said in one.messages],
            "repairs": [],
            "pii": 0,
        }
        for one in dialogues
    ]
    return pa.Table.from_pylist(rows, schema=CHAT)


@pytest.fixture(scope="module")
def trained():
    return train_model(as_texts(FOLLOW_UPS * 4), np.tile(LABELS, 4), iterations=12)


def test_a_trained_model_knows_what_it_was_shown(trained):
    probs = trained.predict(as_texts(FOLLOW_UPS))
    assert choose_labels(probs).tolist() == LABELS.tolist()
    assert probs.sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_training_is_repeatable(trained):
    again = train_model(as_texts(FOLLOW_UPS * 4), np.tile(LABELS, 4), iterations=12)
    assert np.array_equal(trained.weights, again.weights)


def test_weights_shift_what_is_likely():
    texts, labels = as_texts(["same words"] * 4), np.array([2, 3, 3, 3])
    even, tilted = (
        train_model(texts, labels, weights=np.array(w), iterations=12) for w in ([1.0, 1, 1, 1], [9.0, 1, 1, 1])
    )
    assert choose_labels(even.predict(texts))[0] == 3
    assert choose_labels(tilted.predict(texts))[0] == 2


def test_a_training_set_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="from 1 to 5"):
        train_model(as_texts(["a", "b"]), np.array([1, 6]))
    with pytest.raises(ValueError, match="2 turns and 1 labels"):
        train_model(as_texts(["a", "b"]), np.array([1]))


def test_a_temperature_softens_a_model_that_is_too_sure(trained):
    texts, labels = as_texts(FOLLOW_UPS), LABELS.copy()
    labels[0] = 3  # where it is sure, and wrong
    assert fit_temperature(trained, texts, labels).temperature > fit_temperature(trained, texts, LABELS).temperature


def test_equal_labels_fall_to_the_middle():
    assert choose_labels(np.array([[0.2] * 5, [0.4, 0, 0.2, 0.4, 0], [0, 0.5, 0, 0, 0.5]])).tolist() == [3, 4, 2]


def test_a_model_comes_back_as_it_was_saved(trained, tmp_path):
    judge = save_model(trained, tmp_path, name="student/1", rubric="wildreward@2")
    again = open_model(str(tmp_path))
    assert np.array_equal(again.model.weights, trained.weights)
    assert again.manifest == judge.manifest
    assert judge.manifest.sha256 == hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()


def _cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def _age(folder):
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"features": 0}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_cut, "differs from its manifest"),
        (_age, "fits features of version 0"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "is none"),
        (lambda folder: (folder / WEIGHTS).unlink(), "holds no model"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(trained, tmp_path, harm, message):
    save_model(trained, tmp_path, name="student/1", rubric="wildreward@2")
    harm(tmp_path)
    with pytest.raises(InputError, match=message):
        open_model(str(tmp_path))


def test_pickles_are_never_read(trained, tmp_path):
    judge = save_model(trained, tmp_path, name="student/1", rubric="wildreward@2")
    np.savez(tmp_path / WEIGHTS, weights=np.array([{}]), bias=np.zeros(5), temperature=np.ones(()))
    sha256 = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    (tmp_path / MANIFEST).write_text(judge.manifest.model_copy(update={"sha256": sha256}).model_dump_json())
    with pytest.raises(InputError, match="cannot be read"):
        open_model(str(tmp_path))


@pytest.fixture(scope="module")
def dialogues():
    return list(write_dialogues(60))


def test_every_turn_gets_a_verdict(dialogues):
    chats, judge = as_chats(dialogues), open_model()
    turns = find_turns(chats).kept
    verdicts = judge_turns(chats, turns, judge)
    assert verdicts.schema == VERDICT
    assert verdicts["uid"].to_pylist() == turns["uid"].to_pylist()
    assert set(verdicts["state"].to_pylist()) == {"ok"}
    assert set(verdicts["judge"].to_pylist()) == {judge.manifest.sha256}
    likeliest = [probs.index(max(probs)) + 1 for probs in verdicts["label_probs"].to_pylist()]
    assert likeliest == verdicts["label"].to_pylist()
    assert judge_turns(chats, turns[:0], judge).schema == VERDICT


def test_a_verdict_is_the_same_in_every_partition(dialogues):
    judge, whole = open_model(), as_chats(dialogues)
    verdicts = judge_turns(whole, find_turns(whole).kept, judge)
    parts = [as_chats(dialogues[begin::3]) for begin in range(3)]
    apart = pa.concat_tables([judge_turns(part, find_turns(part).kept, judge) for part in parts])
    assert apart.sort_by("uid").combine_chunks().equals(verdicts.sort_by("uid").combine_chunks())


def test_dialogues_are_mostly_understood(dialogues):
    """Generated follow-ups are of another hand than the seeds; which side of neutral they are on is mostly seen."""
    chats, kinds = as_chats(dialogues), list(FollowUp)
    meant = [kinds.index(kind) + 1 for one in dialogues for kind in one.follow_ups]
    found = judge_turns(chats, find_turns(chats).kept, open_model())["label"].to_numpy()
    assert len(meant) == len(found)
    assert np.mean(np.sign(np.array(meant) - 3) == np.sign(found - 3)) > 0.75


def test_the_shipped_model_is_small_and_speaks_of_a_known_rubric():
    judge = open_model()
    name, version = judge.manifest.rubric.split("@")
    rubric = find_rubric(name)
    assert (rubric.version, len(rubric.answers)) == (int(version), judge.manifest.labels)
    assert len(files("miners.chats.embedded").joinpath("shipped", WEIGHTS).read_bytes()) < 300_000


def test_no_rows_give_no_probabilities():
    assert open_model().model.predict(as_texts(FOLLOW_UPS)[:0]).shape == (0, 5)


def test_seeds_are_many_and_whole():
    seeds = load_seeds()
    assert seeds["seed"].n_unique() >= 1500
    assert seeds["label"].unique().sort().to_list() == [1, 2, 3, 4, 5]
    assert seeds.select(pl.all_horizontal(pl.col("query", "reply", "feedback").str.len_chars() > 0)).to_series().all()
    assert not seeds["feedback"].str.contains(r"\{(?:query|topic)\}").any()


def test_exchanges_are_many_and_whole():
    rows = load_exchanges()
    assert rows.height >= 1500
    assert rows["label"].unique().sort().to_list() == [1, 2, 3, 4, 5]
    assert rows.select(pl.all_horizontal(pl.col("query", "reply", "feedback").str.len_chars() > 0)).to_series().all()
    assert not rows.select("query", "reply", "feedback").is_duplicated().any()
