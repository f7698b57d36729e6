"""WildChat Parquet to fit turns, MB of text a second of processor time, beside the published script's pandas way.

Ours reads the columns it needs, assembles conversations, finds turns and filters them, and keeps the table. The peer
does what WildReward's step 00 does: a file through pandas, row by row, an item for each turn with its whole history;
once without writing, and once with the JSON lines that it writes. It filters nothing, and neither detects languages.
Both read one file in the published schema, all its columns filled, with the texts of a folder's ShareGPT chats,
repeated; each in a fresh process, after a small file that warms it up.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import json
import multiprocessing
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from miners.chats.mining.conversations import assemble_chats
from miners.chats.mining.filters import filter_turns
from miners.chats.mining.turns import find_turns
from miners.chats.wildchat import SCHEMA, SOURCE
from miners.source import Reading
from schemas.chat_sections import Turns
from schemas.recipe import Licenses

MB = 1_000_000
CHATS = Path(os.environ.get("REVEALED_REAL_DATA", "../shared/data")) / "sharegpt" / "conversations.jsonl"
ROLES = {"human": "user", "gpt": "assistant"}
MODERATION = ("openai_moderation", "detoxify_moderation")
FILTERS = Turns(
    min_query_words=5,
    min_reply_words=10,
    max_turns=20,
    topics=("images", "media", "web", "identity", "attachments"),
    links=True,
    repeated=True,
)


def read_texts() -> list[list[str]]:
    """Read chats in which user and assistant take turns, the user first."""
    chats = []
    for line in CHATS.read_bytes().splitlines():  # of text it would split at U+2028, too
        said = json.loads(line)["conversations"]
        roles = [ROLES.get(message["from"]) for message in said]
        if len(said) > 1 and roles == (["user", "assistant"] * len(said))[: len(said)]:
            chats.append([message["value"].encode("utf-8", "replace").decode() for message in said])
    return chats


def write(path: Path, size: int) -> float:
    """Write the published schema until the texts reach `size` bytes; answers the MB of text."""
    chats, written, number = read_texts(), 0, 0
    with pq.ParquetWriter(path, SCHEMA) as writer:
        while written < size:
            rows = []
            for said in chats:
                number += 1
                written += sum(len(text.encode()) for text in said)
                rows.append(make_row(number, said))
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return written / MB


def make_row(number: int, said: list[str]) -> dict[str, object]:
    """Make one row with every column filled, as published: pandas reads all, each message's moderation included."""
    header = {"accept-language": "fr-FR,fr;q=0.9", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}
    person = {"country": "France", "state": "Paris", "hashed_ip": f"{number % 997:064x}", "header": header}
    flags = {"toxic": False, "redacted": False, "language": "English"}
    asked = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    nobody = dict.fromkeys(person)
    conversation = [
        {
            "content": text,
            "role": ("user", "assistant")[at % 2],
            "turn_identifier": number * 1000 + at,
            "timestamp": asked + timedelta(seconds=at) if at % 2 else None,
            **(nobody if at % 2 else person),
            **flags,
        }
        for at, text in enumerate(said)
    ]
    names = {"conversation_hash": f"{number:032x}", "model": "gpt-4", "turn": len(said) // 2, "timestamp": asked}
    moderation = {
        name: [_fill(SCHEMA.field(name).type.value_type, at) for at in range(len(said))] for name in MODERATION
    }
    return {**names, "conversation": conversation, **flags, **person, **moderation}


def _fill(kind: pa.DataType, number: int) -> object:
    """Make a value of each field of a group: no flag is raised, and scores are small and differ."""
    if pa.types.is_struct(kind):
        return {field.name: _fill(field.type, number * 31 + at) for at, field in enumerate(kind)}
    return False if pa.types.is_boolean(kind) else (number * 7919 % 99991 + 1) / 1e8


def mine(path: Path) -> int:
    """Mine turns our way; a batch of the reader stands for a partition."""
    reading = Reading("wildchat", "salt", SOURCE.options(), 64 << 20)
    turns = 0
    for part in SOURCE.plan(str(path), SOURCE.options(), 64 << 20):
        for outcome in SOURCE.read(part, reading):
            chats = assemble_chats(outcome.kept, turns=FILTERS, sample=1.0, seed=0, licenses=Licenses()).kept
            turns += filter_turns(chats, find_turns(chats).kept, FILTERS).kept.num_rows
    return turns


def script(path: Path) -> Iterator[dict[str, object]]:
    """Make items as the published step 00 does."""
    import pandas as pd

    for _, row in pd.read_parquet(path).iterrows():
        said = row["conversation"]
        if len(said) < 4:
            continue
        for turn in range(1, len(said) // 2):
            at = 2 * (turn - 1)
            yield {
                "id": f"{row['conversation_hash']}_turn{turn - 1}",
                "model": row["model"],
                "turn": turn,
                "history": [{"role": message["role"], "content": message["content"]} for message in said[:at]],
                "messages": [{"role": message["role"], "content": message["content"]} for message in said[at : at + 2]],
                "user_query": said[at + 2]["content"],
                "language": row["language"],
            }


def throw_away(path: Path) -> None:
    """Make the script's items, and keep none."""
    deque(script(path), maxlen=0)


def save(path: Path) -> None:
    """Write the script's items as it does: JSON lines."""
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        for item in script(path):
            file.write(json.dumps(item, ensure_ascii=False) + "\n")


RUNS: dict[str, Callable[[Path], object]] = {
    "ours": mine,
    "pandas, row by row (step 00 alone)": throw_away,
    "the same, writing its JSON lines": save,
}


def spend(name: str, path: Path, warm: Path) -> tuple[float, float, object]:
    """Run in a process of its own -> seconds of processor time, peak memory in MiB, and what the run answers."""
    RUNS[name](warm)
    began = time.process_time()
    answer = RUNS[name](path)
    return time.process_time() - began, report.peak_rss_mib(), answer


def main() -> None:
    given = report.arguments(__doc__ or "", [200])
    with tempfile.TemporaryDirectory() as place:
        path, warm = Path(place) / "train-00000.parquet", Path(place) / "warm.parquet"
        size, _ = write(path, given.sizes[0] * MB), write(warm, MB)
        details: dict[str, float | int | str] = {"text_mb": round(size), "file_mb": round(path.stat().st_size / MB)}
        speeds = {}
        for name in RUNS:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                seconds, peak, answer = process.submit(spend, name, path, warm).result()
            speeds[name] = size / seconds
            details |= {f"peak MiB, {name}": peak} | ({"fit turns": str(answer)} if name == "ours" else {})
    details["peak_rss_mib"] = details.pop("peak MiB, ours")
    report.show(report.Report(speeds.pop("ours"), speeds, "MB/s", details), as_json=given.json)


if __name__ == "__main__":
    main()
