"""A judge that answers by a script: for tests of clients, and to measure them beside a server whose speed is known.

It speaks as much of OpenAI's chat/completions as a judge needs, in a fixed time, and fails as it is told. What it
answers follows from the text of a question, so that a test knows every label. It counts the calls of each question.
`python -m benchmarks.scripted_server` runs it as a process of its own, and prints its address.
"""

import argparse
import asyncio
import contextlib
import json
import math
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

_PLAIN = re.compile(r"exactly one of: (.+)$", re.MULTILINE)
_PROBE = "capital of France"  # the client's question to find out whether a server keeps to the labels
_STATUS = {"400": 400, "401": 401, "404": 404, "429": 429, "500": 500, "503": 503, "long": 400}
_WORDS = {
    "long": "This model's maximum context length is 4096 tokens. However, your request has 9000 input tokens.",
    "429": "Rate limit reached",
    "401": "Incorrect API key provided",
}


@dataclass(frozen=True)
class Script:
    """How the server behaves.

    latency: seconds of every answer. shares: {kind of failure: share of the calls}, drawn by a hash of question and
    number of the call. first_only: only a question's first call may fail. honours: the ways of constraining an answer
    that it keeps to; what it does not know it ignores, or refuses with 400 where `strict`. obeys: answers as asked to
    in words. dies_after: calls after which it hangs up on everyone for `dead_for` seconds. capacity: requests under
    way beyond which it says 429. retry_after: seconds that a 429 or 503 names.

    Kinds: 400, 401, 404, 429, 500, 503, long (beyond the context), hang, drop (hangs up), cut (half a JSON), wrong
    (none of the labels), empty, refusal, filter, length.
    """

    latency: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    first_only: bool = False
    honours: Sequence[str] = ("structured_outputs", "response_format")
    strict: bool = False
    obeys: bool = True
    logprobs: bool = True
    dies_after: int | None = None
    dead_for: float = math.inf
    capacity: int | None = None
    retry_after: float | None = None


def label_of(text: str, answers: Sequence[str]) -> str:
    """Give the label that the server gives to a text."""
    return answers[zlib.crc32(text.encode()) % len(answers)]


def draw_failure(script: Script, text: str, call: int) -> str | None:
    """Draw how a call fails; None where it does not."""
    if script.first_only and call > 1:
        return None
    at = zlib.crc32(f"{call}\n{text}".encode()[::-1]) / 2**32
    for kind, share in script.shares.items():
        if at < share:
            return kind
        at -= share
    return None


@dataclass
class Server:
    """A running server, as tests see it. calls: of each question, by its text."""

    script: Script
    calls: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    probes: int = 0
    under_way: int = 0
    most_under_way: int = 0
    died_at: float | None = None
    keep: bool = True  # bodies and headers
    port: int = 0

    @property
    def url(self) -> str:
        """Give the address that a recipe would name."""
        return f"http://127.0.0.1:{self.port}/v1"

    def is_dead(self, now: float) -> bool:
        """Say whether it hangs up on everyone."""
        script = self.script
        if script.dies_after is not None and self.died_at is None and self.calls.total() >= script.dies_after:
            self.died_at = now
        return self.died_at is not None and now < self.died_at + script.dead_for

    def answer(self, body: dict[str, Any]) -> tuple[str, int, bytes]:
        """Answer a request -> (what to do: send, hang, drop or cut; status; body)."""
        text = body["messages"][-1]["content"]
        if is_probe := _PROBE in text:
            self.probes += 1
            kind = None
        else:
            self.calls[text] += 1
            kind = draw_failure(self.script, text, self.calls[text])
        if self.script.capacity is not None and self.under_way > self.script.capacity:
            kind = "429"
        self.kinds[kind or "ok"] += not is_probe
        if kind in {"hang", "drop"}:
            return kind, 0, b""
        if kind in _STATUS:
            return "send", _STATUS[kind], _say_no(_WORDS.get(kind, f"scripted {kind}"))
        unknown = [name for name in ("structured_outputs", "response_format") if name in body]
        if self.script.strict and set(unknown) - set(self.script.honours):
            return "send", 400, _say_no(f"Unrecognized request argument supplied: {unknown[0]}")
        sent = orjson.dumps(self._complete(body, text, kind))
        return ("cut" if kind == "cut" else "send"), 200, sent

    def _complete(self, body: dict[str, Any], text: str, kind: str | None) -> dict[str, Any]:
        content, answers = self._say(body, text)
        message: dict[str, Any] = {"role": "assistant", "content": content}
        finish = {"filter": "content_filter", "length": "length"}.get(kind or "", "stop")
        if kind == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        elif kind in {"wrong", "empty"}:
            message["content"] = {"wrong": "maybe", "empty": ""}[kind]
        choice = {"index": 0, "message": message, "finish_reason": finish}
        if body.get("logprobs") and self.script.logprobs and answers:
            choice["logprobs"] = {"content": [_probe_tokens(content, answers)]}
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": 1, "total_tokens": len(text) // 4 + 1}
        return {"id": "scripted", "object": "chat.completion", "choices": [choice], "usage": usage}

    def _say(self, body: dict[str, Any], text: str) -> tuple[str, Sequence[str]]:
        if "structured_outputs" in body and "structured_outputs" in self.script.honours:
            answers = body["structured_outputs"]["choice"]
            return label_of(text, answers), answers
        if "response_format" in body and "response_format" in self.script.honours:
            answers = body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"]
            return json.dumps({"answer": label_of(text, answers)}), ()
        asked = _PLAIN.search("\n".join(message["content"] for message in body["messages"]))
        if asked and self.script.obeys and not ({"structured_outputs", "response_format"} & set(body)):
            answers = asked[1].split(", ")
            return label_of(text, answers), answers
        return "Paris, of course.", ()


def _probe_tokens(content: str, answers: Sequence[str]) -> dict[str, Any]:
    """Give the chosen answer .7 and the others the rest, as one token each."""
    rest = math.log(0.3 / max(1, len(answers) - 1))
    top = [{"token": answer, "logprob": math.log(0.7) if answer == content else rest} for answer in answers]
    return {"token": content, "logprob": math.log(0.7), "top_logprobs": top}


def _say_no(words: str) -> bytes:
    return orjson.dumps({"error": {"message": words, "type": "invalid_request_error"}})


class _Connection(asyncio.Protocol):
    """HTTP/1.1, as far as clients of ours go: requests with a length, one after another."""

    def __init__(self, server: Server, open_ones: set["_Connection"]) -> None:
        self.server, self.open_ones = server, open_ones
        self.data = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client's connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open_ones.add(self)
        if self.server.is_dead(self.loop.time()):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it."""
        self.open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        """Read; answer when a request is whole."""
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].decode("latin-1")
            found = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            size = int(found[1]) if found else 0
            if len(self.data) < end + 4 + size:
                return
            body, self.data = self.data[end + 4 : end + 4 + size], self.data[end + 4 + size :]
            self._take(head, body)

    def _take(self, head: str, body: bytes) -> None:
        server = self.server
        if server.is_dead(self.loop.time()):
            for connection in list(self.open_ones):
                connection.transport.abort()
            return
        if head.startswith("GET"):
            self._send(200, orjson.dumps({"calls": server.calls, "probes": server.probes, "kinds": server.kinds}))
            return
        asked = orjson.loads(body)
        if server.keep:
            server.headers.append(head)
            server.bodies.append(asked)
        server.under_way += 1
        server.most_under_way = max(server.most_under_way, server.under_way)
        what, status, answer = server.answer(asked)
        self.loop.call_later(server.script.latency, self._end, what, status, answer)

    def _end(self, what: str, status: int, answer: bytes) -> None:
        self.server.under_way -= 1
        if what == "drop":
            self.transport.abort()
        elif what == "cut":
            self._send(status, answer[: len(answer) // 2], len(answer) // 2)
        elif what == "send":
            self._send(status, answer)

    def _send(self, status: int, body: bytes, size: int | None = None) -> None:
        after = self.server.script.retry_after
        busy = f"Retry-After: {after:g}\r\n" if after is not None and status in {429, 503} else ""
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{busy}"
        self.transport.write(f"{head}Content-Length: {size or len(body)}\r\n\r\n".encode() + body)


@contextlib.contextmanager
def scripted(script: Script) -> Iterator[Server]:
    """Run a server in a thread, for tests."""
    server, loop = Server(script), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(_listen(server, 0), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_close(*listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(server: Server, port: int) -> tuple[asyncio.Server, set[_Connection]]:
    open_ones: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server, open_ones), "127.0.0.1", port, backlog=2048)
    server.port = listening.sockets[0].getsockname()[1]
    return listening, open_ones


async def _close(listening: asyncio.Server, open_ones: set[_Connection]) -> None:
    while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(accepting)  # a server that is closed meanwhile leaves their sockets open
    listening.close()
    while open_ones:
        for connection in list(open_ones):
            connection.transport.abort()
        await asyncio.sleep(0)


async def _serve(server: Server, port: int) -> None:
    await _listen(server, port)
    print(server.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="{}", help="JSON of the script's fields")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Server(Script(**json.loads(given.script)), keep=False), given.port))


if __name__ == "__main__":
    main()
