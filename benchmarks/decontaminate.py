"""Decontamination, documents a second of one core's time: ours and datatrove's, on the same texts and benchmarks.

Both look for word 13-grams of the questions and answers of JudgeBench, GSM8K, MATH-500, LLMBar and XSTest in real
posts, among which every hundredth holds a question. Ours reads notation, matches short and changed questions too, and
keeps the evidence; datatrove (its own filter, with its default tokenizer) answers yes or no. Its indexer needs a
package that downloads benchmarks, so its index is made here with its own functions. It takes a part of the sample.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.signatures import REAL, generated, posts
from schemas.recipe import Benchmark
from warehouse.decontamination.benchmarks import read_benchmark
from warehouse.decontamination.index import ITEMS, build_index
from warehouse.decontamination.matching import decontaminate

SIZES = (20_000,)
PEER_SHARE = 20  # datatrove takes one in so many
EVERY = 100  # one document in so many holds a question
NGRAM = 13
UNIT = "documents/s"
FILES = {
    "judgebench": "judgebench",
    "gsm8k": "gsm8k/gsm8k_test.jsonl",
    "math-500": "math500/test.jsonl",
    "llmbar": "llmbar",
    "xstest": "xstest/xstest_prompts.csv",
}


def items() -> tuple[pa.Table, str]:
    """Texts of the benchmarks, and where they are from: real files, or generated texts."""
    folder = REAL / "benchmarks"
    if folder.is_dir():
        tables = [read_benchmark(Benchmark(preset=name, path=path), folder) for name, path in FILES.items()]
        return pa.concat_tables(tables), ", ".join(FILES)
    texts = generated(5000, seed=5)
    names = pa.array(np.arange(len(texts)).astype(str))
    constant = [pa.array([value] * len(texts)) for value in ("generated", "text", True)]
    return pa.table([constant[0], names, constant[1], texts, constant[2]], schema=ITEMS), "generated"


def planted(count: int, questions: pl.Series) -> tuple[pa.Table, set[int], str]:
    """Give documents, of which every hundredth holds a question -> rows `uid, text`, which, and their origin."""
    texts, origin = posts(count)
    chosen = pl.int_range(count, eager=True).filter(pl.int_range(count, eager=True) % EVERY == 0)
    leaks = pl.DataFrame({"row": chosen, "leak": questions.gather(chosen * 7 % len(questions))})
    rows = pl.DataFrame({"text": pl.Series(texts)}).with_columns(row=pl.int_range(pl.len()))
    held = rows.join(leaks, on="row", how="left", maintain_order="left").select(
        uid=pl.col("row").cast(pl.String), text=pl.concat_str("text", "leak", separator="\n\n", ignore_nulls=True)
    )
    return held.to_arrow(), set(chosen), origin


def with_datatrove(benchmarks: pa.Table, rows: pa.Table, folder: Path) -> set[int]:
    """Filter rows as datatrove's users do -> the rows it drops."""
    from datatrove.data import Document
    from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.logging import logger
    from datatrove.utils.text import ngrams, simplify_text

    logger.disable("datatrove")
    screen: Any = NGramsDecontFilter(str(folder), NGramsDecontConfig(n_grams=NGRAM))
    if not (folder / "all.index.hashes").exists():
        simple = (simplify_text(text, screen.config.norm_config) for text in benchmarks["text"].to_pylist())
        split = (ngrams(screen.tokenizer.word_tokenize(text), NGRAM) for text in simple)
        hashes = {screen.hash_func(" ".join(gram)) for grams in split for gram in grams}
        np.array(list(hashes), screen.config.hash_config.np_descr).tofile(folder / "all.index.hashes")

    def dropped() -> Iterator[int]:
        for uid, text in zip(rows["uid"].to_pylist(), rows["text"].to_pylist(), strict=True):
            if screen.filter(Document(text=text, id=uid)) is not True:
                yield int(uid)

    return set(dropped())


def main() -> None:
    """Measure and print."""
    options = report.arguments(__doc__, SIZES)
    benchmarks, source = items()
    long = pl.DataFrame(benchmarks).filter(pl.col("question") & (pl.col("text").str.count_matches(r"\w+") > 2 * NGRAM))
    rows, leaks, origin = planted(options.sizes[-1], long["text"])
    index = build_index(benchmarks, ngram=NGRAM)
    outcome = decontaminate(rows, ["text"], index, "drop")
    dropped = set(map(int, outcome.dropped["ref"].to_pylist()))
    seconds = report.spend({"ours": lambda: decontaminate(rows, ["text"], index, "drop")})["ours"]
    details: dict[str, float | int | str] = {
        "documents": f"{rows.num_rows:,} {origin}",
        "benchmarks": source,
        "n-grams": f"{len(index.keys):,}",
        "recall, ours": round(len(dropped & leaks) / len(leaks), 4),
        "others dropped, ours": len(dropped - leaks),
    }
    peers = {}
    part = rows.take(pa.array(np.arange(0, rows.num_rows, PEER_SHARE)))
    part_leaks = {row for row in leaks if row % PEER_SHARE == 0}
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = with_datatrove(benchmarks, part, Path(folder))  # makes the index, and loads it
            took = report.spend({"theirs": lambda: with_datatrove(benchmarks, part, Path(folder))})["theirs"]
        peers["datatrove, n-gram decontamination"] = part.num_rows / took
        details["recall, datatrove"] = round(len(found & part_leaks) / len(part_leaks), 4)
        details["others dropped, datatrove"] = len(found - part_leaks)
    except ImportError as error:
        report.absent("datatrove", error)
    report.show(report.Report(rows.num_rows / seconds, peers, UNIT, details), as_json=options.json)


if __name__ == "__main__":
    main()
