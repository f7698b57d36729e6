import polars as pl
import pyarrow as pa
import pytest

from schemas.inputs import Route
from schemas.signals import CONTINUATION
from warehouse.projections import IN_BATCH, PROJECTIONS, RBS, project_in_batch, project_rbs


@pytest.fixture
def rows():
    frame = pl.DataFrame({"doc_id": [f"d{n}" for n in range(5)]}).with_columns(
        prefix=pl.format("before {}", "doc_id"),
        suffix=pl.format("after {}", "doc_id"),
        cluster_id=pl.when(pl.col("doc_id") == "d4").then(pl.lit("d0")).otherwise("doc_id"),
        source=pl.lit("finemath"),
        split=pl.lit("train"),
        hard=pl.when(pl.col("doc_id") < "d2").then(pl.lit("same_host")),
        suffix_ids=pl.when(pl.col("doc_id") == "d1").then(pl.lit([1, 2])),
    )
    fill = {pa.string(): "", pa.float32(): 1.0, pa.int32(): 0, pa.int64(): 0, pa.uint64(): 0}
    missing = {
        field.name: pl.lit(None if field.nullable else fill[field.type])
        for field in CONTINUATION
        if field.name not in frame.columns
    }
    return frame.with_columns(**missing).select(CONTINUATION.names).to_arrow().cast(CONTINUATION)


def test_in_batch_rows_say_where_they_stand(rows):
    made = project_in_batch(rows, 2)
    assert made.schema.equals(IN_BATCH)
    assert made["window"].to_pylist() == [0, 0, 1, 1, 2]
    assert made["position"].to_pylist() == [0, 1, 0, 1, 0]
    assert made["suffix"].to_pylist() == rows["suffix"].to_pylist()
    assert made["suffix_ids"].to_pylist() == [None, [1, 2], None, None, None]
    assert made["hard"].to_pylist() == ["same_host", "same_host", None, None, None]


def test_clusters_are_told_by_a_number_that_stays_the_same(rows):
    first, *others, last = project_in_batch(rows, 2)["cluster_id"].to_pylist()
    assert first == last
    assert len({first, *others}) == 4
    assert first == -626007766759009549  # of "d0": the number that trainers may have stored


def test_rows_of_the_tail_stand_in_no_window(rows):
    made = project_in_batch(rows)
    assert made["window"].null_count == made["position"].null_count == 5
    assert made.schema.equals(project_in_batch(rows, 2).schema)


def test_rbs_rows_are_those_of_the_papers_code(rows):
    made = project_rbs(rows, 2)
    assert made.schema.equals(RBS)
    assert made.slice(3, 1).to_pylist() == [
        {
            "data_source": "finemath",
            "prompt": [{"role": "user", "content": "before d3"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "after d3"},
            "extra_info": {
                "use_nonembedding": True,
                "similarity_method": "rouge",
                "split": "train",
                "index": 3,
                "answer": "after d3",
                "question": "before d3",
            },
        }
    ]


@pytest.mark.parametrize("name", PROJECTIONS[Route.WEB])
def test_a_projection_has_a_row_for_each_and_takes_none(rows, name):
    project = PROJECTIONS[Route.WEB][name]
    assert project(rows, 2).num_rows == 5
    assert project(rows.slice(0, 0), 2).schema.equals(project(rows, None).schema)
