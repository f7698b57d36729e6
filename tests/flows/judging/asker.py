"""A process that asks, to be killed: `asker.py URL ROOT QUESTIONS`."""

import sys
from pathlib import Path

import polars as pl
import pyarrow as pa

from flows.judging.asking import ask_questions
from flows.judging.client import Client
from flows.judging.endpoints import Pace
from flows.progress import Silent
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.identity import digest
from schemas.judging import QUESTION
from warehouse.ledger import open_ledger
from warehouse.root import open_root

IN_FLIGHT = 32
HURRIED = Pace(backoff=0.01, longest=0.05, knock=0.01)


def make_judge(url: str, **options: object) -> Judge:
    return Judge(kind="server", model="scripted", urls=(url,), in_flight=IN_FLIGHT, **options)


def write_questions(count: int) -> pa.Table:
    """Questions whose key is a hash of their text."""
    rows = pl.DataFrame({"text": [f"question {number}" for number in range(count)]})
    rows = rows.with_columns(key=digest("text"), uid=digest(pl.lit("turn"), "text"), vote=pl.lit(0, pl.Int16))
    return rows.select(QUESTION.names).to_arrow().cast(QUESTION)


def main(url: str, root: str, count: str) -> None:
    judge, questions = make_judge(url), write_questions(int(count))
    tables = (questions.slice(start, 500) for start in range(0, questions.num_rows, 500))
    client = Client(judge, find_rubric("wildreward"), pace=HURRIED)
    ask_questions(tables, client, open_ledger(open_root(root)), reporter=Silent(), judge=judge)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main(*sys.argv[1:])
