"""A cascade from end to end: a server judges a sample, a student comes between, and builds are compared."""

import polars as pl
import pytest

from benchmarks.scripted_server import Script, scripted
from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from flows.judging.evaluation import evaluate_release
from flows.judging.judged import find_snapshot, read_verdicts
from flows.summary import print_summary
from miners.chats.embedded.model import open_model, save_model, train_model
from miners.chats.mining.texts import join_texts
from miners.dialogues import FollowUp, write_dialogues
from miners.registry import find_source
from schemas.errors import RecipeError
from schemas.manifest import Latest
from schemas.recipe import Recipe
from warehouse.partitions import find_partition, read_partition
from warehouse.root import Root

CONFIDENCE = 0.8


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with chats, and a student that is sure of some of their turns."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "messages").mkdir()
    find_source("messages").sample(folder / "messages", 60)
    turns = [
        (said[at].text, said[at + 1].text, said[at + 2].text, list(FollowUp).index(kind) + 1)
        for dialogue in write_dialogues(60)
        for said in [[message for message in dialogue.messages if message.role != "system"]]
        for at, kind in zip(range(0, len(said), 2), dialogue.follow_ups, strict=False)
    ]
    texts = pl.DataFrame(turns, schema=["query", "reply", "feedback", "label"], orient="row")
    model = train_model(texts.drop("label"), texts["label"].to_numpy(), iterations=6)
    for name, rubric in (("student", "wildreward@2"), ("stranger", "nof@1")):
        save_model(model, folder / name, name="student/scripted", rubric=rubric)
    return folder


def build(corpus, root, server, *, cascade=None, **changes):
    """Build with a server as the judge; answers (manifest, engine)."""
    asked = {"kind": "server", "model": "scripted", "urls": [server.url], "in_flight": 8}
    values = {
        "name": "chats",
        "inputs": [{"source": "messages", "path": "messages"}],
        "judge": asked | ({} if cascade is None else {"cascade": cascade}),
        "refusals": {"validate_with": "off"},
        "release": {"min_rows": 16},
    }
    recipe = Recipe.model_validate(values | changes)
    engine = Engine(SerialExecutor(), run_in_turn)
    [manifest] = Build(recipe, Root(str(root)), engine, corpus).run()
    return manifest, engine


def verdicts_of(root, manifest):
    return read_verdicts(Root(str(root)), find_snapshot(Root(str(root)), manifest.name, manifest.build)[1])


def find_sure(root, manifest, folder):
    """Ask the student itself, turn by turn: uid -> label, where it is sure."""
    place = Root(str(root))
    _, snapshot = find_snapshot(place, manifest.name, manifest.build)
    sure = {}
    for source, prints in snapshot.partitions["fit"].items():
        for fit, chats in zip(prints, snapshot.partitions["chats"][source], strict=True):
            tables = [read_partition(place, find_partition(place, *own)) for own in (("chats", chats), ("fit", fit))]
            texts = join_texts(*tables)
            probs = open_model(str(folder)).model.predict(texts)
            best = zip(texts["uid"], probs, strict=True)
            sure |= {uid: int(own.argmax()) + 1 for uid, own in best if own.max() >= CONFIDENCE}
    return sure


def test_the_server_sees_only_what_the_student_is_unsure_of(corpus, tmp_path):
    with scripted(Script()) as server:
        manifest, _ = build(corpus, tmp_path, server, cascade={"student": "student", "min_confidence": CONFIDENCE})
        calls = sum(server.calls.values())
        server.calls.clear()
        again, engine = build(corpus, tmp_path, server, cascade={"student": "student", "min_confidence": CONFIDENCE})
        assert (sum(server.calls.values()), sum(engine.computed.values()), again) == (0, 0, manifest)
    verdicts = verdicts_of(tmp_path, manifest)
    sure = find_sure(tmp_path, manifest, corpus / "student")
    assert 0 < len(sure) < verdicts.height
    assert calls == verdicts.height - len(sure)
    by_student = verdicts.filter(judge_model="student/scripted")
    assert dict(by_student.select("uid", "label").iter_rows()) == sure
    assert by_student["judge"].unique().to_list() == [open_model(str(corpus / "student")).manifest.sha256]
    assert set(verdicts["judge_model"]) == {"student/scripted", "scripted"}
    funnel = {row.stage: row for row in manifest.funnel}
    assert funnel["student"].rows_in == funnel["labels"].rows_in == verdicts.height
    assert funnel["questions"].rows_in == calls
    assert funnel["student"].produced == len(sure)


def test_what_the_judge_said_before_is_not_asked_when_the_student_grows_careful(corpus, tmp_path):
    with scripted(Script()) as server:
        build(corpus, tmp_path, server, cascade={"student": "student", "min_confidence": 0.5})
        first = sum(server.calls.values())
        server.calls.clear()
        manifest, engine = build(corpus, tmp_path, server, cascade={"student": "student", "min_confidence": 1.0})
        assert sum(server.calls.values()) == verdicts_of(tmp_path, manifest).height - first
        assert not {"chats", "turns", "fit"} & set(engine.computed)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"cascade": {"student": "stranger"}}, r"stranger answers nof@1.*asks wildreward@2.*distill --rubric wildr"),
        ({"kind": "embedded", "cascade": {"student": "student"}}, r"cascade.*saves questions.*`server` or `offline`"),
    ],
)
def test_cascades_that_cannot_be_are_refused_before_anything_is_read(corpus, tmp_path, judge, message):
    asked = {"kind": "server", "model": "scripted", "urls": ["http://127.0.0.1:1/v1"]} | judge
    with scripted(Script()) as server, pytest.raises(RecipeError, match=message):
        build(corpus, tmp_path / "root", server, judge=asked)
    assert not (tmp_path / "root" / "stages").exists()


def test_a_build_is_held_beside_the_one_before_it(corpus, tmp_path, capsys):
    """The student says what is meant and the scripted judge what comes: between their builds the labels drift."""
    place = Root(str(tmp_path))
    with scripted(Script()) as server:
        first, _ = build(corpus, tmp_path, server)
        print_summary([first], place, None)
        assert "labels beside" not in capsys.readouterr().out
        second, _ = build(corpus, tmp_path, server, judge={"kind": "embedded", "model": "student"})
        for _ in range(2):  # a repeated build still stands beside the other one
            print_summary([second], place, None)
            said = capsys.readouterr().out
            assert f"labels beside those of build {first.build}" in said
            assert "has shifted more than chance explains" in " ".join(said.split())
            build(corpus, tmp_path, server, judge={"kind": "embedded", "model": "student"})
    pointer = place.read_record("releases/chats/latest.json", Latest)
    assert (pointer.build, pointer.previous) == (second.build, first.build)
    place.write("releases/chats/latest.json", b"?")  # a broken pointer is written anew, and knows nothing of before
    with scripted(Script()) as server:
        build(corpus, tmp_path, server, judge={"kind": "embedded", "model": "student"})
    pointer = place.read_record("releases/chats/latest.json", Latest)
    assert (pointer.build, pointer.previous) == (second.build, None)


def test_gold_finds_its_turns_in_a_build(corpus, tmp_path):
    """Conversation and turn of the gold are those of the source: what follow-ups were written to say."""
    gold = tmp_path / "gold.csv"
    with scripted(Script()) as server:
        manifest, _ = build(corpus, tmp_path / "root", server, judge={"kind": "embedded", "model": "student"})
    verdicts = verdicts_of(tmp_path / "root", manifest)
    rows = verdicts.select(conversation_id=pl.col("group_id").str.strip_prefix("messages/"), turn="turn", label="label")
    rows.write_csv(gold)
    found = evaluate_release(Root(str(tmp_path / "root")), None, gold)
    assert found.matched == verdicts.height
    assert found.reading.labels.kappa.value == 1
