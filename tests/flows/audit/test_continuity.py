import json

import polars as pl
import pytest
from click.testing import CliRunner

from flows.audit.continuity import Asked, audit_continuity, rank_true
from flows.audit.samples import draw_batches
from flows.audit.scoring import SCORES, EmbeddedScorer
from flows.audit_commands import audit
from schemas.errors import FatalError, RecipeError
from schemas.inputs import Route

ROWS, BATCH = 64, 8


def look(release, **asked):
    return audit_continuity(*release, EmbeddedScorer(), Asked(**asked))


def run(*arguments):
    return CliRunner(env={"COLUMNS": "160"}).invoke(audit, ["continuity", *map(str, arguments)])


def test_on_coherent_documents_the_true_suffix_is_found_far_above_chance(coherent):
    report = look(coherent)
    assert (report.rows, report.batch, report.pairs) == (ROWS, BATCH, ROWS * BATCH)
    assert report.states == {"ok": ROWS * BATCH}
    assert report.retrieval.chance == 1 / BATCH
    assert report.retrieval.accuracy.low > 0.8
    assert report.retrieval.mrr.low > 0.8
    assert report.true_pass.low > 0.8
    assert report.negatives_pass.high < 0.1
    assert report.features["words"][0] > 5 * report.features["words"][1]


def test_on_shuffled_suffixes_it_is_found_by_chance_only(shuffled):
    report = look(shuffled)
    assert report.retrieval.accuracy.low < 1 / BATCH < report.retrieval.accuracy.high
    assert report.retrieval.accuracy.high < 0.4
    assert report.true_pass.high < 0.1
    assert len(look(shuffled, worst=100).false_positives) > 0.9 * ROWS


def test_figures_stand_by_mode_and_host_and_add_up(coherent):
    report = look(coherent)
    assert {name: found.rows for name, found in report.by_mode.items()} == {"fixed": 48, "sentence": 16}
    assert {name: found.rows for name, found in report.by_host.items()} == {"even.example": 32, "odd.example": 32}
    hits = sum((found.accuracy.share or 0) * found.rows for found in report.by_mode.values())
    assert hits == pytest.approx((report.retrieval.accuracy.share or 0) * ROWS)


def test_a_planted_equal_suffix_is_a_false_negative_of_both_rows(release, texts):
    equal = pl.when(pl.int_range(pl.len()) == 3).then(pl.col("suffix").get(1)).otherwise("suffix")
    report = look(release(texts.with_columns(suffix=equal)), worst=50)
    found = {(one.group_id, one.other_group_id) for one in report.false_negatives if one.why == "equal suffix"}
    assert found == {("finemath/d1", "finemath/d3"), ("finemath/d3", "finemath/d1")}
    assert report.false_negatives[0].why == "equal suffix"


def test_a_nearly_equal_suffix_is_found_too(release, texts):
    near = pl.when(pl.int_range(pl.len()) == 3).then(pl.col("suffix").get(1) + " indeed").otherwise("suffix")
    report = look(release(texts.with_columns(suffix=near)), worst=50)
    [(pair, why)] = {
        (frozenset({one.group_id, one.other_group_id}), one.why) for one in report.false_negatives if "equal" in one.why
    }
    assert pair == {"finemath/d1", "finemath/d3"}
    assert why == "nearly equal suffix"


def test_a_planted_suffix_of_another_document_is_the_first_to_read(release, texts):
    crossed = pl.when(pl.int_range(pl.len()) == 5).then(pl.col("suffix").get(40)).otherwise("suffix")
    report = look(release(texts.with_columns(suffix=crossed)), worst=50)
    assert "finemath/d5" in {one.group_id for one in report.false_positives[:3]}
    [finding] = [one for one in report.false_positives if one.group_id == "finemath/d5"]
    assert texts["prefix"][5].endswith(finding.prefix_end)
    assert texts["suffix"][40].startswith(finding.suffix_start)


def test_a_suffix_that_belongs_to_a_neighbour_is_found_as_its_continuation(release, texts):
    swapped = (
        pl.when(pl.int_range(pl.len()) == 8)
        .then(pl.col("suffix").get(9))
        .when(pl.int_range(pl.len()) == 9)
        .then(pl.col("suffix").get(8))
        .otherwise("suffix")
    )
    report = look(release(texts.with_columns(suffix=swapped)), worst=50)
    above = {(one.group_id, one.other_group_id) for one in report.false_negatives if one.why.startswith("scores")}
    assert {("finemath/d8", "finemath/d9"), ("finemath/d9", "finemath/d8")} <= above


def test_a_sample_is_whole_batches_of_the_release_as_they_stand(coherent, texts):
    rows = draw_batches(*coherent, rows=20, batch=BATCH)
    assert rows.height == 24
    order = rows["group_id"].str.extract(r"(\d+)$").cast(pl.Int64).to_list()
    for start in range(0, 24, BATCH):
        assert order[start] % BATCH == 0
        assert order[start : start + BATCH] == list(range(order[start], order[start] + BATCH))
    assert rows["prefix"].to_list() == [texts["prefix"][at] for at in order]


def test_batches_need_not_be_row_groups_nor_windows(coherent, texts):
    rows = draw_batches(*coherent, rows=ROWS, batch=20)
    assert rows["group_id"].to_list() == [f"finemath/d{at}" for at in (*range(20), *range(32, 52))]


def test_the_same_seed_gives_the_same_report_and_another_one_another_sample(coherent):
    assert look(coherent, rows=16) == look(coherent, rows=16)
    first, second = (draw_batches(*coherent, rows=32, batch=BATCH, seed=seed)["uid"].to_list() for seed in (0, 1))
    assert first != second


def test_fewer_negatives_leave_the_true_suffix_in(coherent):
    report = look(coherent, negatives=3)
    assert report.retrieval.candidates == 4
    assert report.pairs == ROWS * 4


def test_ranks_share_places_and_a_pair_without_a_score_takes_its_row_out():
    scored = pl.DataFrame(
        [
            (0, 0, 0.5, "ok"),
            (0, 1, 0.9, "ok"),
            (0, 2, 0.5, "ok"),
            (1, 0, 0.1, "ok"),
            (1, 1, 0.7, "ok"),
            (1, 2, 0.7, "ok"),
            (2, 1, None, "timeout"),
            (2, 2, 0.9, "ok"),
        ],
        schema={"row": pl.Int64, "candidate": pl.Int64} | SCORES,
        orient="row",
    )
    assert rank_true(scored).rows() == [(0, 3, 2.5, 0.0), (1, 3, 1.5, 0.5)]


def test_a_batch_that_no_shard_holds_is_refused_with_what_there_is(coherent):
    with pytest.raises(FatalError, match="no shard holds a batch of 40 rows, the largest has 32"):
        look(coherent, batch=40)


def test_more_pairs_than_memory_holds_are_refused(coherent, monkeypatch):
    monkeypatch.setattr("flows.audit.continuity._PAIRS", 500)
    with pytest.raises(FatalError, match="64 rows in batches of 8 make 512 pairs, more than 500"):
        look(coherent)


def test_a_release_of_pairs_is_refused(coherent):
    root, manifest = coherent
    pairs = manifest.model_copy(update={"route": Route.FORUMS.value})
    with pytest.raises(FatalError, match="route `forums`; expected one of continuations"):
        audit_continuity(root, pairs, EmbeddedScorer(), Asked(batch=8))


def test_the_command_prints_tables_and_the_pairs_to_read(shuffled):
    root, manifest = shuffled
    result = run(manifest.name, "--root", root.url, "--worst", 2)
    assert result.exit_code == 0, result.output
    for said in ("embedded", "mode sentence", "host odd.example", "12.5%", "does not go on", "numbering"):
        assert said in result.output
    assert result.output.count("does not go on") == 2


def test_the_command_gives_one_json_object(coherent):
    root, manifest = coherent
    result = run(manifest.name, "--root", root.url, "--json", "--sample", 10, "--batch", 5)
    assert json.loads(result.output) == json.loads(look(coherent, rows=10, batch=5, worst=5).model_dump_json())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "judge"), "`--method judge` needs --url"),
        (("--method", "perplexity"), "needs --model FOLDER or --url"),
        (("--url", "http://127.0.0.1:1/v1"), "`embedded` needs neither"),
        (("--method", "judge", "--model", "folder"), "`--method judge` needs --url"),
    ],
)
def test_options_that_do_not_go_together_are_refused(coherent, arguments, said):
    root, manifest = coherent
    result = run(manifest.name, "--root", root.url, *arguments)
    assert isinstance(result.exception, RecipeError)
    assert said in str(result.exception)
