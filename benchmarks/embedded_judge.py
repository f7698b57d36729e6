"""The embedded judge beside people's and models' readings, with intervals; and turns a second on one core.

Gold: `benchmarks/gold/sharegpt.csv`, by the texts of the ShareGPT chats; its first 400 rows served development, and the
rows of other conversations are the test. USS (Sun et al. 2021; SGD and MWOZ: the median of three or more annotators of
a turn) and FeedbackQA (Li et al. 2022; WHO: what people wrote of an answer, and how they rated it) are far from chats,
and are shown as they are. Intervals: bootstrap over conversations (for FeedbackQA over its rows), 95%.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from flows.audit.intervals import bound_figure, bound_share
from miners.chats.embedded.model import EmbeddedJudge, choose_labels, open_model
from miners.chats.mining.conversations import assemble_chats
from miners.chats.mining.texts import join_texts
from miners.chats.mining.turns import find_turns
from miners.chats.sharegpt import SOURCE, Options
from miners.source import Reading
from schemas.chat_sections import Turns
from schemas.recipe import Licenses
from warehouse.agreement import calibration_error, count_pairs, kappa

DATA = Path(os.environ.get("REVEALED_REAL_DATA", "../shared/data"))
GOLD = Path(__file__).parent / "gold" / "sharegpt.csv"
DEVELOPMENT = 400
Array = npt.NDArray[Any]
RATINGS = {"Bad": 1, "Could be Improved": 2, "Acceptable": 4, "Excellent": 5}


def read_turns() -> tuple[pa.Table, pa.Table]:
    path = str(DATA / "sharegpt" / "conversations.jsonl")
    reading = Reading(community="sharegpt", salt="", options=Options())
    rows = [made.kept for part in SOURCE.plan(path, Options(), 1 << 30) for made in SOURCE.read(part, reading)]
    chats = assemble_chats(pa.concat_tables(rows), turns=Turns(), sample=1, seed=0, licenses=Licenses()).kept
    return chats, find_turns(chats).kept


def read_gold(chats: pa.Table, turns: pa.Table) -> pl.DataFrame:
    """Put texts to the gold; where the readers differ, the label nearer to neutral counts."""
    known = pl.DataFrame(turns.select(["uid", "group_id", "turn"]))
    named = known.with_columns(conversation_id=pl.col("group_id").str.strip_prefix("sharegpt/"))
    texts = named.join(join_texts(chats, turns), on="uid")
    gold = pl.read_csv(GOLD, schema_overrides={"turn": pl.Int32}).with_row_index("row")
    nearer = pl.when((pl.col("first") - 3).abs() <= (pl.col("second") - 3).abs()).then("first").otherwise("second")
    return gold.with_columns(label=nearer).join(texts, on=["conversation_id", "turn"]).sort("row")


def part_gold(gold: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Part what served development from the conversations of which no turn did; other rows are for neither."""
    seen = pl.col("row") < DEVELOPMENT
    return {"development": gold.filter(seen), "test": gold.filter(~seen.any().over("conversation_id"))}


def read_uss(name: str) -> pl.DataFrame:
    """Read users' turns that follow a reply: the label is the median of the annotators'."""
    rows = []
    for number, session in enumerate((DATA / "feedback" / "uss" / name).read_text("utf-8").split("\n\n")):
        said = [line.split("\t") for line in session.splitlines() if line.strip()]
        for query, reply, follow in zip(said, said[1:], said[2:], strict=False):
            if (query[0], reply[0], follow[0]) == ("USER", "SYSTEM", "USER") and follow[1] != "OVERALL":
                label = int(np.median([int(vote) for vote in follow[3].split(",")]) + 0.5)
                rows.append((str(number), query[1], reply[1], follow[1], label))
    return pl.DataFrame(rows, ["conversation_id", "query", "reply", "feedback", "label"], orient="row")


def read_feedbackqa() -> pl.DataFrame:
    rows = []
    for path in sorted((DATA / "feedback" / "feedbackqa_WHO").glob("*.json")):
        for item in json.loads(path.read_text("utf-8")):
            reply = item["passage"]["reference"]["section_content"]
            for feedback, rating in zip(item["feedback"], item["rating"], strict=True):
                rows.append((str(len(rows)), item["question"], reply, feedback, RATINGS[rating]))
    return pl.DataFrame(rows, ["conversation_id", "query", "reply", "feedback", "label"], orient="row")


def bound(figure: Callable[[Array], float], units: pl.Series) -> str:
    low, high = bound_figure(figure, units)
    return f"{figure(np.ones(len(units), np.int64)):.3f} [{low:.3f}, {high:.3f}]"


def compare(first: Array, second: Array, units: pl.Series) -> dict[str, str]:
    """Kappa, plain and with quadratic weights, on five levels and on three."""
    coarse = [2 + np.sign(labels - 3) for labels in (first, second)]
    return {
        f"{name}, {count} levels": bound(
            lambda times, o=one, t=two, c=count, p=power: kappa(count_pairs(o, t, c, times), p), units
        )
        for count, (one, two) in ((5, (first, second)), (3, coarse))
        for name, power in (("kappa", 0), ("weighted kappa", 2))
    }


def tell_labels(gold: Array, found: Array) -> dict[str, str]:
    """Precision and recall of each label, with Wilson's intervals."""
    told = {}
    for label in range(1, 6):
        right = int(((gold == label) & (found == label)).sum())
        for name, rows in (("precision", int((found == label).sum())), ("recall", int((gold == label).sum()))):
            low, high = bound_share(right, rows)
            told[f"{name} of {label}"] = f"{right}/{rows} [{low:.2f}, {high:.2f}]"
    return told


def judge_rows(judge: EmbeddedJudge, rows: pl.DataFrame) -> tuple[Array, Array]:
    probs = judge.model.predict(rows)
    return probs, choose_labels(probs)


def tell(judge: EmbeddedJudge, name: str, rows: pl.DataFrame) -> dict[str, str]:
    gold, (probs, found) = rows["label"].to_numpy().astype(np.int64), judge_rows(judge, rows)
    units, ranked = rows["conversation_id"], pl.DataFrame({"gold": gold, "found": probs @ np.arange(1, 6)})
    right = found == gold
    told = {
        "rows": str(rows.height),
        "gold labels": str(np.bincount(gold, minlength=6)[1:].tolist()),
        "found labels": str(np.bincount(found, minlength=6)[1:].tolist()),
        "accuracy": f"{right.mean():.3f}",
        "calibration error": f"{calibration_error(probs.max(axis=1), right):.3f}",
        "Spearman": f"{ranked.select(pl.corr('gold', 'found', method='spearman')).item():.3f}",
        **compare(gold, found, units),
        **tell_labels(gold, found),
    }
    return {f"{name}: {key}": value for key, value in told.items()}


def main() -> None:
    given = report.arguments(__doc__, [0])
    judge, (chats, turns) = open_model(), read_turns()
    gold = read_gold(chats, turns)
    readers = gold["first"].to_numpy(), gold["second"].to_numpy()
    details = {f"readers: {k}": v for k, v in compare(*readers, gold["conversation_id"]).items()}
    parts = {
        **part_gold(gold),
        "USS SGD": read_uss("SGD.txt"),
        "USS MWOZ": read_uss("MWOZ.txt"),
        "FeedbackQA": read_feedbackqa(),
    }
    for name, rows in parts.items():
        details |= tell(judge, name, rows)
    texts = join_texts(chats, turns)
    shares = np.bincount(judge_rows(judge, texts)[1], minlength=6)[1:] / texts.height
    details["all ShareGPT turns: label shares"] = str(shares.round(4).tolist())
    seconds = report.spend({"ours": lambda: judge.model.predict(texts)})["ours"]
    report.show(report.Report(texts.height / seconds, {}, "turns/s", details), as_json=given.json)


if __name__ == "__main__":
    main()
