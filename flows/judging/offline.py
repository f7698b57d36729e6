"""The offline engine: vLLM without a server, in a process beside ours, for a machine with a GPU.

It says the same to the same question as a server of the same model does, under the same keys: its ends are written as
chat completions, and read by the client's own reader.
"""

import atexit
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from flows.entries import locate
from flows.judging import offline_worker
from flows.judging.dialects import Constraint, Dialect, Reading
from flows.judging.interpreters import find_interpreter, prepare_environment
from flows.judging.lifelines import keep_alive, quote_end
from flows.judging.serving import open_log
from miners.chats.mining.questions import draw_seed, judge_fingerprint, sampling
from miners.chats.mining.rubrics import Rubric
from schemas.chat_sections import Judge
from schemas.errors import FatalError, RecipeError, TransientError
from schemas.judging import ANSWER, State

OPTIONS = "REVEALED_VLLM_OPTIONS"
"""Environment variable with arguments of `vllm.LLM` as JSON, such as `{"tensor_parallel_size": 2}`."""

_DIALECT = Dialect(Constraint.CHOICE)
_TEMPLATE = "chat_template_kwargs"
_ARGUMENTS = {"tensor_parallel": "tensor_parallel_size", "gpu_memory": "gpu_memory_utilization"}
"""What `vllm.LLM` calls otherwise than `judge.serve`."""


class Worker:
    """A process in which vLLM has loaded a model; it lives as long as we do, or until `close`."""

    def __init__(self, python: str, model: str, options: Mapping[str, Any]) -> None:
        self.log, self._closing = open_log(), ExitStack()
        command = [python, str(Path(offline_worker.__file__))]
        environment = prepare_environment(python, model)
        self._process = self._closing.enter_context(keep_alive(command, environment, self.log, talks=True))
        try:
            self.ask({"model": model, "generation_config": "vllm", "max_model_len": -1, **options})
        except TransientError as error:  # loading fails again the same way
            self.close()
            raise FatalError(f"`judge.model: {model}`: vLLM cannot load it: {error}") from None

    def ask(self, asked: Mapping[str, Any]) -> Any:
        """Put a line to the worker, and wait for its answer; raises TransientError, with its last words, if it ends."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(orjson.dumps(asked) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            return orjson.loads(line)
        code = process.wait()
        raise TransientError(f"vLLM ended (code {code}); its last words, of {self.log}:\n{quote_end(self.log)}")

    def close(self) -> None:
        """End it."""
        self._closing.close()

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None


@dataclass(frozen=True, slots=True)
class OfflineEngine:
    """Asks the model of `judge.model`, `judge.in_flight` questions at once; an Answerer.

    The worker is the same for all rubrics: loading a model takes minutes.
    """

    judge: Judge
    rubric: Rubric
    worker: Worker

    def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        """Ask the questions (QUESTION) and hand the answers (ANSWER) to `sink` a batch at a time, from this thread.

        Raises TransientError, with vLLM's last words, where it ends; the sink has had the batches before.
        """
        for batch in _read_ahead(_cut(questions, self.judge.in_flight)):
            sink(self._ask(batch))

    def _ask(self, batch: pa.Table) -> pa.Table:
        began = time.monotonic()
        keys = batch["key"].to_pylist()
        draws = self.judge.temperature > 0
        replies = self.worker.ask(
            {
                "system": self.rubric.system,
                "texts": batch["text"].to_pylist(),
                "seeds": [draw_seed(key) if draws else None for key in keys],
                "sampling": sampling(self.judge),
                "template": self.judge.extra.get(_TEMPLATE, {}),
                "form": _DIALECT.constrain(self.rubric.answers),
            }
        )
        seconds = (time.monotonic() - began) / max(1, len(keys))
        rows = [self._write(key, reply, seconds) for key, reply in zip(keys, replies, strict=True)]
        return pa.Table.from_pylist(rows, schema=ANSWER)

    def _write(self, key: str, reply: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Write the end of a question as a row of ANSWER. seconds: its part of the batch's."""
        refused = reply.get("error")
        reading = Reading(State.ERROR, detail=refused) if refused else _DIALECT.read(reply, self.rubric.answers)
        return {
            "key": key,
            "judge": judge_fingerprint(self.rubric, self.judge),
            "rubric": self.rubric.id,
            "model": self.judge.model,
            "state": reading.state,
            "answer": reading.answer,
            "probs": reading.probs,
            **reply.get("usage", {}),
            "seconds": seconds,
            "tries": 1,
            "detail": reading.detail,
            "answered_at": datetime.now(UTC),
        }


def check_extra(judge: Judge) -> None:
    """Refuse what of `judge.extra` only a server could be told: RecipeError."""
    if unknown := sorted(judge.extra.keys() - {_TEMPLATE}):
        raise RecipeError(
            f"`judge.extra`: the offline engine does not know `{'`, `'.join(unknown)}`; expected `{_TEMPLATE}` alone, "
            "or `judge.kind: server`"
        )
    if not isinstance(judge.extra.get(_TEMPLATE, {}), dict):
        raise RecipeError(f"`judge.extra.{_TEMPLATE}`: expected a mapping, such as {{enable_thinking: false}}")


def open_offline(judge: Judge, rubric: Rubric, folder: Path = Path()) -> OfflineEngine:
    """Open the engine for a recipe's judge; `judge.serve` says how the model is held.

    REVEALED_VLLM_OPTIONS may hold arguments of `vllm.LLM`, as JSON, which win. folder: the recipe's, in which a
    relative path of a model's folder begins; keys and answers name the model as the recipe does. Models stay loaded:
    another rubric finds the same worker.

    Raises RecipeError where no interpreter has vLLM or `judge.extra` holds what only a server knows, and FatalError
    where the model cannot be loaded.
    """
    if not judge.model:
        raise RecipeError("`judge.kind: offline` needs `model`, a folder or a Hugging Face name")
    check_extra(judge)
    given = os.environ.get(OPTIONS, "{}")
    try:
        options = orjson.loads(given)
    except orjson.JSONDecodeError:
        options = None
    if not isinstance(options, dict):
        raise RecipeError(f'{OPTIONS} is `{given}`; expected JSON, such as {{"tensor_parallel_size": 2}}')
    beside = locate(judge.model, folder)
    model = beside if Path(beside).is_dir() else judge.model
    revision = {} if model == beside or not judge.revision else {"revision": judge.revision}
    serve = {_ARGUMENTS.get(name, name): value for name, value in judge.serve.model_dump(exclude_none=True).items()}
    asked = orjson.dumps({**revision, **serve, **options}, option=orjson.OPT_SORT_KEYS)
    python = find_interpreter()
    worker = _load(python, model, asked)
    if not worker.is_alive:
        _load.cache_clear()
        worker = _load(python, model, asked)
    return OfflineEngine(judge, rubric, worker)


@lru_cache(maxsize=1)
def _load(python: str, model: str, options: bytes) -> Worker:
    worker = Worker(python, model, orjson.loads(options))
    atexit.register(worker.close)
    return worker


def _cut(tables: Iterable[pa.Table], most: int) -> Iterator[pa.Table]:
    """Cut tables into batches of `most` rows at most."""
    for table in tables:
        for start in range(0, table.num_rows, most):
            yield table.slice(start, most)


def _read_ahead(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Read each batch in a thread while the one before is asked about."""
    with ThreadPoolExecutor(1, thread_name_prefix="questions") as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch
