"""Builds of the chats route on generated conversations: by an embedded judge, and by a server with a script."""

import json
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest
from datasets import load_dataset

from benchmarks.scripted_server import Script, scripted
from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from flows.presentations import presentation_of
from flows.samples import DumpPlan, write_dump
from miners.chats.embedded.model import save_model, train_model
from miners.chats.mining.rubrics import find_rubric
from miners.dialogues import FollowUp, write_dialogues
from miners.registry import find_source
from schemas.errors import CeilingError, RevealedError
from schemas.recipe import Recipe
from schemas.signals import FEEDBACK
from warehouse._release_checks import check_content
from warehouse.garbage import collect_garbage
from warehouse.root import Root
from warehouse.verification import verify_warehouse

CHATS = 120
SITE = "garden.example.com"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with WildChat Parquet, chats of another form, pages, a forum, and a small model of the judge."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, size in (("wildchat", CHATS), ("messages", 30), ("finemath", 12)):
        (folder / name).mkdir()
        find_source(name).sample(folder / name, size)
    write_dump(folder / SITE, DumpPlan(threads=30, site=SITE))
    turns = [
        (said[at].text, said[at + 1].text, said[at + 2].text, list(FollowUp).index(kind) + 1)
        for dialogue in write_dialogues(80)
        for said in [[message for message in dialogue.messages if message.role != "system"]]
        for at, kind in zip(range(0, len(said), 2), dialogue.follow_ups, strict=False)
    ]
    texts = pl.DataFrame(turns, schema=["query", "reply", "feedback", "label"], orient="row")
    model = train_model(texts.drop("label"), texts["label"].to_numpy(), iterations=15)
    save_model(model, folder / "model", name="embedded/test", rubric="wildreward@2")
    return folder


def build(corpus, root, *, sources=("wildchat",), sample=1.0, **changes):
    """Build; answers (manifests by route, engine)."""
    places = {"stackexchange": SITE}
    values = {
        "name": "chats",
        "inputs": [{"source": name, "path": places.get(name, name)} for name in sources],
        "judge": {"model": "model"},
        "release": {"min_rows": 16},
        "blocks": {"prefix": 64, "suffix": 128},
        "windows": {"size": 4},
        "limits": {"max_failure_rate": 0.3},
    }
    recipe = Recipe.model_validate(values | changes)
    engine = Engine(SerialExecutor(), run_in_turn, max_failure_rate=recipe.limits.max_failure_rate)
    manifests = Build(recipe, Root(str(root)), engine, corpus, sample).run()
    return {manifest.route: manifest for manifest in manifests}, engine


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    manifests, _ = build(corpus, root)
    return manifests["chats"], Root(str(root))


def rows_of(root, manifest, config="feedback"):
    shards = [shard for shard in manifest.shards if shard.config == config]
    folder = f"releases/{manifest.name}/{manifest.build}"
    return pl.concat([pl.read_parquet(root.path(f"{folder}/{shard.path}")) for shard in shards])


def hashes_of(manifest):
    return {shard.path: shard.sha256 for shard in manifest.shards}


def funnel_of(manifest, stage):
    """Add a stage up: (rows in, rows on, {reason: dropped})."""
    rows = [row for row in manifest.funnel if row.stage == stage]
    reasons = {reason for row in rows for reason in row.dropped}
    dropped = {reason: sum(row.dropped.get(reason, 0) for row in rows) for reason in reasons}
    return sum(row.rows_in for row in rows), sum(row.rows_out for row in rows), dropped


def test_every_stage_balances_down_to_the_released_rows(built):
    manifest, root = built
    for row in manifest.funnel:
        assert row.rows_in == row.rows_out + sum(row.dropped.values()), row
    produced = {row.stage: row.produced for row in manifest.funnel}
    on = {stage: funnel_of(manifest, stage)[1] for stage in produced}
    assert funnel_of(manifest, "dedupe")[2] == {"exact_duplicate": 3}  # every 40th dialogue is a copy
    assert funnel_of(manifest, "chats")[0] == CHATS
    assert funnel_of(manifest, "fit")[0] == produced["turns"]
    assert funnel_of(manifest, "verdicts")[0] == on["fit"]
    assert funnel_of(manifest, "choose")[0] == on["verdicts"]
    released = sum(split.rows + split.tail_rows for split in manifest.splits.values())
    assert released == on["feedback"] == rows_of(root, manifest).height > 100
    assert set(funnel_of(manifest, "choose")[2]) == {"neutral"}


def test_rows_are_what_was_said_to_the_letter(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    assert rows.to_arrow().schema.names == FEEDBACK.names
    assert rows["uid"].is_unique().all()
    said = {
        f"wildchat/{dialogue.content_hash}-{1_000_000 + 100 * dialogue.number}": dialogue.messages
        for dialogue in write_dialogues(CHATS)
    }
    for row in rows.iter_rows(named=True):
        messages = [{"role": message.role, "content": message.text} for message in said[row["group_id"]]]
        before = len(row["prompt"])
        assert row["prompt"] == messages[:before]
        assert [row["response"], row["feedback"]] == [message["content"] for message in messages[before : before + 2]]
        assert sum(message["role"] == "assistant" for message in messages[:before]) == row["turn"]


def test_the_judge_reads_what_the_follow_ups_were_written_to_say(built):
    manifest, root = built
    kinds = list(FollowUp)
    meant = {
        (f"wildchat/{dialogue.content_hash}-{1_000_000 + 100 * dialogue.number}", turn): kinds.index(kind) + 1
        for dialogue in write_dialogues(CHATS)
        for turn, kind in enumerate(dialogue.follow_ups)
    }
    rows = rows_of(root, manifest).filter(pl.col("origin") == "direct")
    right = [meant[row["group_id"], row["turn"]] == row["label"] for row in rows.iter_rows(named=True)]
    assert sum(right) > 0.9 * len(right)
    assert rows["ordinal"].to_list() == [{1: 1, 2: 2, 4: 3, 5: 4}[label] for label in rows["label"]]


def test_no_user_and_no_conversation_stands_in_two_splits(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    assert rows["split"].n_unique() == 3
    assert rows.group_by("user").agg(pl.col("group_id").n_unique())["group_id"].max() > 1
    for column in ("user", "cluster_id", "group_id"):
        assert rows.group_by(column).agg(pl.col("split").n_unique())["split"].max() == 1


def test_verification_is_clean_and_finds_a_user_in_two_splits(built, monkeypatch):
    manifest, root = built
    assert verify_warehouse(root).problems == ()
    shards = [shard for shard in manifest.shards if shard.config == "feedback"]
    assert list(check_content(root, manifest, shards)) == []
    # the same rows, of which all are by one user
    monkeypatch.setattr(
        "warehouse._release_checks.read_columns",
        lambda root, manifest, shard, columns, read=check_content.__globals__["read_columns"]: read(
            root, manifest, shard, columns
        ).with_columns(pl.lit("one").alias(column) for column in columns if column == "user"),
    )
    [(_, fault)] = check_content(root, manifest, shards)
    assert fault == "1 values of user stand in more than one split: one"


def test_all_configs_load_and_stand_side_by_side(built, tmp_path):
    manifest, root = built
    folder = root.path(f"releases/{manifest.name}/{manifest.build}")
    every = load_dataset(folder, "feedback", split="train", cache_dir=str(tmp_path))
    ordinal = load_dataset(folder, split="train", cache_dir=str(tmp_path))
    wildreward = load_dataset(folder, "wildreward", split="train", cache_dir=str(tmp_path))
    kto = load_dataset(folder, "kto", split="train", cache_dir=str(tmp_path))
    assert ordinal["label"] == every["ordinal"] == wildreward["label"]
    assert ordinal["ordinal_targets"] == [[float(level > edge) for edge in (1, 2, 3)] for level in every["ordinal"]]
    assert kto["label"] == [level > 2 for level in every["ordinal"]]
    assert [*wildreward["history"][:20]] == [prompt[:-1] for prompt in every["prompt"][:20]]
    assert wildreward["text"][:20] == ordinal["text"][:20]


def test_statistics_agree_with_the_rows_and_are_shown(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    found = presentation_of(manifest).describe(root, manifest)
    assert found.rows == rows.height
    assert {name: label.rows for name, label in found.labels.items()} == dict(rows["category"].value_counts().rows())
    assert sum(label.rows for label in found.judged.values()) == funnel_of(manifest, "verdicts")[0]
    assert found.judged["neutral"].low < found.judged["neutral"].share < found.judged["neutral"].high
    counts = sorted(rows["user"].value_counts()["count"])
    assert (found.users.users, found.users.rows_per_user.max) == (len(counts), counts[-1])
    gini = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
    assert found.users.gini == pytest.approx(gini)
    assert found.origins == dict(rows["origin"].value_counts().rows())
    assert found.better == rows["better"].count() > 0


def test_label_shares_are_told_apart_over_all_turns_that_were_judged(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    found = presentation_of(manifest).describe(root, manifest)
    dialogues = {dialogue.content_hash: dialogue for dialogue in write_dialogues(CHATS)}
    for by, groups in found.labels_by.items():
        assert sum(group.rows for group in groups.values()) == funnel_of(manifest, "verdicts")[0], by
        for name, label in found.judged.items():
            own = [group.shares[name].rows for group in groups.values() if name in group.shares]
            assert sum(own) == label.rows, (by, name)
    assert set(found.labels_by["language"]) == {dialogue.language_name for dialogue in dialogues.values()}
    assert set(found.labels_by["country"]) == {dialogue.country for dialogue in dialogues.values()}
    assert found.languages == dict(rows["language"].value_counts(sort=True).rows())  # the log's: nobody detected any
    turns = rows["turn"].value_counts().sort("turn")
    assert found.labels_by["turn"]["0"].rows > turns["count"][0]  # neutral ones are not released


def test_what_is_better_is_a_later_reply_to_the_letter_that_pleased(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    replies = {
        f"wildchat/{dialogue.content_hash}-{1_000_000 + 100 * dialogue.number}": [
            message.text for message in dialogue.messages if message.role == "assistant"
        ]
        for dialogue in write_dialogues(CHATS)
    }
    direct = rows.filter(pl.col("origin") == "direct")
    pleased = set(direct.filter(pl.col("label") > 3).select("group_id", "turn").rows())
    found = rows.drop_nulls("better")
    for row in found.iter_rows(named=True):
        assert row["label"] < 3
        assert row["turn"] < row["better_turn"] <= row["turn"] + 2
        assert row["better"] == replies[row["group_id"]][row["better_turn"]]
        assert (row["group_id"], row["better_turn"]) in pleased


def test_the_card_s_lines_make_pairs(built):
    manifest, root = built
    folder = root.path(f"releases/{manifest.name}/{manifest.build}")
    [_, code] = Path(f"{folder}/README.md").read_text().split("\n  ```python\n")
    names = {}
    exec(dedent(code.split("\n  ```\n")[0]).replace("PATH/TO/THIS/FOLDER", folder), names)
    pairs = names["pairs"]
    rows = pl.read_parquet(f"{folder}/train/*.parquet").drop_nulls("better")
    assert pairs.columns == ["prompt", "chosen", "rejected"]
    assert pairs["chosen"].to_list() == [[{"role": "assistant", "content": text}] for text in rows["better"]]
    assert pairs["rejected"].to_list() == [[{"role": "assistant", "content": text}] for text in rows["response"]]
    assert pairs.height > 0


def test_the_card_says_how_the_labels_came_about(built):
    manifest, root = built
    card = " ".join(Path(root.path(f"releases/{manifest.name}/{manifest.build}/README.md")).read_text().split())
    assert "a small embedded model read them out of the users' next messages" in card
    assert "is not looked at: the embedded judge cannot tell" in card
    assert "hash of their user, where none is known of their duplicate cluster: no user, no conversation" in card


def test_the_cutting_of_the_work_changes_no_byte(built, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("miners.chats.mining.texts._AT_ONCE", 1 << 12)  # bytes of prompts that are written at once
    manifests, engine = build(corpus, tmp_path, partitions={"slice_mib": 0.1, "bucket_mib": 0.1})
    assert engine.computed["chats"] > 3
    assert hashes_of(manifests["chats"]) == hashes_of(built[0])
    assert manifests["chats"].funnel == built[0].funnel


def test_a_repeated_build_computes_nothing_and_garbage_keeps_it(built, corpus):
    manifest, root = built
    collect_garbage(root)
    again, engine = build(corpus, root.path(""))
    assert sum(engine.computed.values()) == 0
    assert again["chats"] == manifest


def test_a_late_option_judges_nothing_again(built, corpus):
    _, root = built
    _, engine = build(corpus, root.path(""), name="other", feedback={"min_probability": 0.9})
    assert set(engine.computed) == {"choose", "feedback", "places", "shards", "project"}


def test_a_temperature_makes_again_only_what_asks_for_a_probability(built, corpus):
    _, root = built
    _, engine = build(corpus, root.path(""), name="warm", feedback={"temperature": 2})
    assert sum(engine.computed.values()) == 0
    sure, _ = build(corpus, root.path(""), name="sure", feedback={"min_probability": 0.6})
    warm, engine = build(corpus, root.path(""), name="sure", feedback={"min_probability": 0.6, "temperature": 1.3})
    assert set(engine.computed) == {"choose", "feedback", "places", "shards", "project"}
    assert rows_of(root, warm["chats"]).height < rows_of(root, sure["chats"]).height


def test_users_are_capped_across_all_inputs_and_partitions(built, corpus):
    manifest, root = built
    capped, _ = build(
        corpus, root.path(""), name="capped", feedback={"max_per_user": 2}, partitions={"bucket_mib": 0.1}
    )
    rows, all_rows = rows_of(root, capped["chats"]), rows_of(root, manifest)
    assert rows["user"].value_counts()["count"].max() == 2
    assert set(rows["user"]) == set(all_rows["user"])
    assert funnel_of(capped["chats"], "feedback")[2] == {"over_user_cap": all_rows.height - rows.height}


def test_neutral_turns_that_are_kept_have_no_level(built, corpus):
    manifest, root = built
    kept, _ = build(corpus, root.path(""), name="neutral", feedback={"neutral": "keep"})
    ordinal, kto = (rows_of(root, kept["chats"], config) for config in ("ordinal", "kto"))
    rows = rows_of(root, kept["chats"])
    assert rows.height == sum(funnel_of(manifest, "verdicts")[:1])
    neutral = (rows["label"] == 3).sum()
    assert ordinal["label"].null_count() == ordinal["ordinal_targets"].null_count() == neutral > 0
    assert kto["label"].null_count() == neutral


def test_three_routes_in_one_recipe_give_three_releases(corpus, tmp_path):
    sources = ("stackexchange", "finemath", "wildchat", "messages")
    manifests, _ = build(corpus, tmp_path, sources=sources, feedback={"max_per_user": 3})
    root = Root(str(tmp_path))
    assert {manifest.name for manifest in manifests.values()} == {"chats-forums", "chats-web", "chats-chats"}
    rows = rows_of(root, manifests["chats"])
    assert set(rows["community"]) == {"wildchat"}
    [copies] = [row for row in manifests["chats"].funnel if (row.stage, row.source) == ("dedupe", "messages")]
    assert copies.dropped == {"exact_duplicate": 30}  # the same dialogues in another form
    assert {row.source for row in manifests["chats"].funnel} == {"wildchat", "messages", "corpus", "chats"}
    assert verify_warehouse(root).problems == ()


def test_a_benchmark_s_item_is_not_released(built, corpus, tmp_path):
    manifest, root = built
    row = rows_of(root, manifest).sort("response_chars").row(-1, named=True)
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps({"question": row["response"], "answer": "none"}))
    asked = {"benchmarks": [{"preset": "gsm8k", "path": str(tmp_path / "gsm8k.jsonl")}]}
    clean, _ = build(corpus, root.path(""), name="clean", decontaminate=asked)
    assert row["uid"] not in set(rows_of(root, clean["chats"])["uid"])
    assert funnel_of(clean["chats"], "decontaminate")[2]["contaminated"] >= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feedback": {"view": "nof"}}, r"`judge\.kind: embedded`.*`wildreward`.*view `nof`.*`judge\.kind: server`"),
        ({"judge": {"model": "absent"}}, r"absent.*holds no model"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(corpus, tmp_path, changes, message):
    with pytest.raises(RevealedError, match=message):
        build(corpus, tmp_path / "root", **changes)
    assert not (tmp_path / "root" / "stages").exists()


def ask(server, **changes):
    """Say which judge answers, about which conversations."""
    asked = {"kind": "server", "model": "scripted", "urls": [server.url], "max_failures": 1.0, "in_flight": 8}
    return {"sources": ("messages",), "judge": asked | changes}


def calls_of(server):
    """Count the calls since the last time."""
    calls = sum(server.calls.values())
    server.calls.clear()
    return calls


def test_a_server_s_answers_are_the_labels_and_are_never_asked_again(corpus, tmp_path):
    with scripted(Script()) as server:
        manifests, _ = build(corpus, tmp_path, **ask(server))
        manifest, root = manifests["chats"], Root(str(tmp_path))
        refusals = funnel_of(manifest, "refusal-questions")[0]
        assert calls_of(server) == funnel_of(manifest, "questions")[0] + refusals  # the generated texts all differ
        again, engine = build(corpus, tmp_path, **ask(server))
        assert (calls_of(server), sum(engine.computed.values())) == (0, 0)
        assert again["chats"] == manifest
        other, engine = build(corpus, tmp_path, name="few", **ask(server), partitions={"bucket_mib": 0.02})
        assert calls_of(server) == 0
        assert engine.computed["verdicts"] > 3
    assert [shard.sha256 for shard in other["chats"].shards] == [shard.sha256 for shard in manifest.shards]
    gone, _ = build(corpus, tmp_path, name="gone", **ask(server), hindsight={"turns": 0})  # the server is gone
    assert rows_of(root, gone["chats"])["origin"].n_unique() < rows_of(root, manifest)["origin"].n_unique()
    rows = rows_of(root, manifest)
    assert rows["judge_model"].unique().to_list() == ["scripted"]
    assert rows["label_probs"].list.len().unique().to_list() == [5]
    assert set(rows["rubric"]) == {find_rubric("wildreward").id}
    assert verify_warehouse(root).problems == ()


def test_what_failed_is_dropped_with_its_reason_and_only_that_is_asked_by_the_next_build(corpus, tmp_path):
    script = Script(shares={"wrong": 0.1, "refusal": 0.1, "long": 0.1})
    with scripted(script) as server:
        first, _ = build(corpus, tmp_path, **ask(server, tries=1))
        calls_of(server)
        dropped = funnel_of(first["chats"], "choose")[2]
        failed = {"judge_unparseable", "judge_refused", "judge_error"}
        assert failed < set(dropped)
        server.script = Script()
        second, engine = build(corpus, tmp_path, **ask(server, tries=1))
        refusals = (
            funnel_of(second["chats"], "refusal-questions")[0] - funnel_of(first["chats"], "refusal-questions")[0]
        )
        assert calls_of(server) == sum(dropped[name] for name in failed) + refusals
        assert not failed & set(funnel_of(second["chats"], "choose")[2])
        assert not {"ingest", "chats", "turns", "questions"} & set(engine.computed)
    root = Root(str(tmp_path))
    assert rows_of(root, second["chats"]).height > rows_of(root, first["chats"]).height


def test_too_many_failures_stop_the_build_and_what_was_answered_is_kept(corpus, tmp_path):
    with scripted(Script(shares={"wrong": 0.5})) as server:
        with pytest.raises(CeilingError, match="unparseable"):
            build(corpus, tmp_path, **ask(server, max_failures=0.01))
        before = calls_of(server)
        server.script = Script()
        manifests, _ = build(corpus, tmp_path, **ask(server, max_failures=0.01))
        assert before > 0
        assert calls_of(server) < funnel_of(manifests["chats"], "questions")[0]


def test_another_view_asks_its_own_rubric(corpus, tmp_path):
    with scripted(Script()) as server:
        manifests, _ = build(corpus, tmp_path, **ask(server), feedback={"view": "wildfeedback"})
    root = Root(str(tmp_path))
    rows = rows_of(root, manifests["chats"])
    assert set(rows["category"]) == {"SAT", "DSAT"}
    assert rows["ordinal"].null_count() == rows.height
    kto = rows_of(root, manifests["chats"], "kto")
    assert kto["label"].to_list() == (rows["category"] == "SAT").to_list()
    assert "refusal-questions" not in {row.stage for row in manifests["chats"].funnel}
    assert rows["origin"].unique().to_list() == ["direct"]  # hindsight is WildReward's; this paper has none
    assert manifests["chats"].recipe["hindsight"]["positive"] is False
    assert rows["better"].null_count() < rows.height


def test_filters_may_come_after_the_judge_and_then_the_same_turns_are_left(corpus, built):
    manifest, root = built
    least = {"min_query_words": 9}
    manifests, _ = build(corpus, root.path(""), name="first", turns=least)
    later, engine = build(corpus, root.path(""), name="later", turns=least | {"filter": "after"})
    first, later = manifests["chats"], later["chats"]
    assert "fit" not in engine.computed or not engine.computed["fit"]  # as in the build without filters
    assert funnel_of(later, "fit-labels")[0] == funnel_of(later, "verdicts")[0] == funnel_of(manifest, "verdicts")[0]
    assert funnel_of(later, "fit-labels")[2] == {"too_short": funnel_of(first, "fit")[2]["too_short"]}
    keep = ["uid", "first_label"]
    own, all_ = (rows_of(root, one).filter(pl.col("origin") == "direct").select(keep) for one in (first, later))
    assert set(own.rows()) == set(all_.rows())
