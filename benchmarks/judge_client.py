"""The judge's client beside a server that answers in a fixed time: turns a second, and the share of its capacity.

The server is a process of its own. With enough connections its capacity is in_flight / latency; a bare load generator,
which sends the same bytes and looks at nothing, shows what of that can be had on this machine. The latency is chosen
so that neither is bound by a core: the client needs a few hundred microseconds of CPU a turn.

The peer is the published script's way (WildReward, step 02): the whole file in memory, a pool of 512 threads that call
and wait, all answers written at the end. It is given the standard library's HTTP client, which costs the least CPU. It
has twice as many calls under way as ours, so that a server that bears any load would let it be twice as fast; with as
many threads as ours has requests it is shown too.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import argparse
import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from flows.judging.client import Client
from miners.chats.mining.rubrics import find_rubric
from schemas.chat_sections import Judge
from schemas.judging import QUESTION, State

_TABLE = 10_000  # questions that a partition holds
_CHARS = 2000  # of a question
_THREADS = (512, 256)  # of the published script; as many as ours has under way


@contextlib.contextmanager
def serve(latency: float) -> Iterator[str]:
    """Run the server; answers its address."""
    script = json.dumps({"latency": latency})
    command = [sys.executable, "-m", "benchmarks.scripted_server", "--script", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def write_questions(turns: int) -> Iterator[pa.Table]:
    """Write questions, a partition at a time."""
    for start in range(0, turns, _TABLE):
        numbers = pl.int_range(start, min(start + _TABLE, turns), eager=True).alias("n")
        text = pl.format("{}{}", "n", pl.lit(" Is this so?" * (_CHARS // 12)))
        key = pl.col("n").cast(pl.String).str.zfill(32)
        yield (
            pl.DataFrame(numbers)
            .select(key=key, uid=key, vote=pl.lit(0, pl.Int16), text=text)
            .to_arrow()
            .cast(QUESTION)
        )


def rss_mib() -> float:
    """Memory that this process holds now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


class Sink:
    """Counts answers, and looks at the memory now and then."""

    def __init__(self, turns: int) -> None:
        self.turns, self.done, self.ok = turns, 0, 0
        self.rss: list[float] = []

    def __call__(self, answers: pa.Table) -> None:
        """Take answers."""
        self.done += answers.num_rows
        self.ok += answers["state"].to_pylist().count(State.OK)
        if self.done >= self.turns * (len(self.rss) + 1) / 21:
            self.rss.append(rss_mib())


def ask_ours(url: str, turns: int, in_flight: int) -> tuple[float, Sink, float]:
    """Ask with the client; answers turns a second, the sink, and microseconds of CPU a turn."""
    judge = Judge(kind="server", urls=(url,), model="scripted", in_flight=in_flight)
    sink, cpu = Sink(turns), time.process_time()
    seconds = report.clock(lambda: Client(judge, find_rubric("wildreward")).answer(write_questions(turns), sink))
    assert sink.ok == turns, f"{sink.ok} of {turns} questions have an answer"
    return turns / seconds, sink, (time.process_time() - cpu) / turns * 1e6


def request_of(text: str) -> dict[str, object]:
    """Write a request as the client does."""
    rubric = find_rubric("wildreward")
    messages = [{"role": "system", "content": rubric.system}, {"role": "user", "content": text}]
    asked = {"model": "scripted", "temperature": 0, "max_tokens": 16, "messages": messages}
    return asked | {"logprobs": True, "top_logprobs": 20, "structured_outputs": {"choice": list(rubric.answers)}}


class _Hammer(asyncio.Protocol):
    """A connection that sends one request after another and reads nothing of the answers but their end."""

    def __init__(self, request: bytes, left: list[int], done: asyncio.Event) -> None:
        self.request, self.left, self.done, self.data = request, left, done, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next when an answer is whole: the server sends JSON objects."""
        self.data += data
        if self.data.endswith(b"}"):
            self.data = b""
            self.left[1] -= 1
            self.done.set() if self.left[1] == 0 else self._send()

    def _send(self) -> None:
        if self.left[0] > 0:
            self.left[0] -= 1
            self.transport.write(self.request)  # type: ignore[attr-defined]


async def hammer(url: str, turns: int, in_flight: int) -> float:
    """Load the server with bare connections; answers requests a second."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    body = orjson.dumps(request_of("Is this so?" * (_CHARS // 12)))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    left, done, loop = [turns, turns], asyncio.Event(), asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Hammer(head.encode() + body, left, done), host, int(port))
        for _ in range(in_flight)
    ]
    await done.wait()
    rate = turns / (time.perf_counter() - begun)
    for transport, _ in made:
        transport.close()
    return rate


def ask_as_published(url: str, turns: int, threads: int) -> float:
    """Ask as the published script does; answers turns a second."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    begun = time.perf_counter()
    texts = [text for table in write_questions(turns) for text in table["text"].to_pylist()]

    def ask(text: str) -> str:
        connection = http.client.HTTPConnection(host, int(port), timeout=600)
        connection.request("POST", "/v1/chat/completions", json.dumps(request_of(text)))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return str(answer["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(ask, texts))
    assert len(answers) == turns
    return turns / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--peer-turns", type=int, default=10_000, help="of the bare load and the published way")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of every answer")
    parser.add_argument("--in-flight", type=int, default=256)
    given = parser.parse_args()
    with serve(given.latency) as url:
        ours, sink, cpu = ask_ours(url, given.turns, given.in_flight)
        bare = asyncio.run(hammer(url, given.peer_turns, given.in_flight)) if given.peer_turns else 0
        published = {
            threads: ask_as_published(url, given.peer_turns, threads) for threads in _THREADS if given.peer_turns
        }
    capacity = given.in_flight / given.latency
    details = {
        "turns": given.turns,
        "latency_s": given.latency,
        "in_flight": given.in_flight,
        "share_of_capacity": round(ours / capacity, 3),
        "cpu_us_a_turn": round(cpu),
        "rss_mib_start": sink.rss[0],
        "rss_mib_middle": sink.rss[len(sink.rss) // 2],
        "rss_mib_end": sink.rss[-1],
    }
    peers = {"capacity (in_flight / latency)": capacity}
    if given.peer_turns:
        peers |= {"bare load generator": bare}
    peers |= {f"published script's way, {threads} threads": rate for threads, rate in published.items()}
    report.show(report.Report(ours, peers, "turns/s", details), as_json=given.json)


if __name__ == "__main__":
    main()
