"""Serving: a vLLM server of our own, which lives as long as we do.

`--generation-config vllm` keeps the sampling that a model's folder recommends (top_p, a penalty for what was said
before) away: an answer is drawn as the judge's fingerprint says, and in no other way.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from flows.entries import locate
from flows.judging.interpreters import find_interpreter, prepare_environment
from flows.judging.lifelines import keep_alive, quote_end
from schemas.errors import FatalError, RecipeError
from schemas.recipe import read_recipe

_LOOK_SECONDS = 0.5
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (how such a server is reached from here)


@dataclass(frozen=True, slots=True)
class Model:
    """What is served. source: folder or Hugging Face name; name: what requests, recipe and ledger call it."""

    source: str
    name: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is served.

    port: 0 takes a free one. max_model_len: tokens of question and answer, or `auto`: as many as fit into memory.
    gpu_memory: share of each GPU's memory that it takes; None: vLLM's own.
    patience: seconds until it must be healthy; a first start downloads the model. extra: more arguments of vLLM's.
    """

    model: Model
    python: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "auto"
    max_model_len: int | str = "auto"
    tensor_parallel: int = 1
    gpu_memory: float | None = None
    patience: float = 900.0
    extra: tuple[str, ...] = ()

    def command(self, python: str, port: int) -> list[str]:
        """Write the command that serves."""
        options = {
            "model": self.model.source,
            "served-model-name": self.model.name,
            "host": self.host,
            "port": port,
            "dtype": self.dtype,
            "max-model-len": self.max_model_len,
            "tensor-parallel-size": self.tensor_parallel,
            "generation-config": "vllm",
            **({"gpu-memory-utilization": self.gpu_memory} if self.gpu_memory else {}),
            **({"revision": self.model.revision} if self.model.revision else {}),
        }
        flags = ["--enable-prefix-caching", "--disable-uvicorn-access-log"]
        written = [f"--{name}={value}" for name, value in options.items()]
        return [python, "-m", "vllm.entrypoints.openai.api_server", *written, *flags, *self.extra]


@dataclass(frozen=True, slots=True)
class Server:
    """A healthy server. url: for `judge.urls`."""

    url: str
    model: Model
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def recipe(self) -> str:
        """Lines of a recipe that make this server the judge."""
        revision = f"\n  revision: {self.model.revision}" if self.model.revision else ""
        return f"judge:\n  kind: server\n  model: {self.model.name}{revision}\n  urls: [{self.url}]"

    def wait(self) -> None:
        """Wait until it ends; raises FatalError with its last words, since it should not."""
        self.process.wait()
        raise _tell_death(self.process, self.log)


@contextmanager
def serve(serving: Serving, log: Path | None = None) -> Iterator[Server]:
    """Serve a model as long as the context lasts. log: where its words go; default: a new temporary file.

    Raises RecipeError where no interpreter has vLLM or the port is taken, and FatalError, with the last lines of the
    log, where the server ends or is not healthy in time. It ends with us, whatever we end of.
    """
    python = find_interpreter(serving.python)
    port = _find_port(serving.host, serving.port)
    log = log or open_log()
    with keep_alive(serving.command(python, port), prepare_environment(python, serving.model.source), log) as process:
        top = write_address(serving.host, port)
        _wait_for_health(top, process, log, serving.patience)
        yield Server(f"{top}/v1", serving.model, log, process)


def serve_until_told(serving: Serving, log: Path | None, say: Callable[[str], object]) -> None:
    """Serve until Ctrl-C or SIGTERM, and say how a recipe asks it; raises as `serve`, and where the server ends."""
    serving = replace(serving, python=find_interpreter(serving.python, option="--python"))  # before anything is said
    signal.signal(signal.SIGTERM, _leave)
    log = log or open_log()
    say(f"# {serving.model.source} is being loaded; log: {log}")
    with serve(serving, log) as server, suppress(KeyboardInterrupt):
        say(f"# healthy, until Ctrl-C; for a recipe:\n{server.recipe}")
        server.wait()


def choose_model(model: str | None, recipe: Path | None) -> Model:
    """Choose what to serve: `model`, a folder or a name; or the recipe's. With both, `model` under the recipe's name.

    Raises RecipeError where neither says it, or the recipe's judge is not asked by name.
    """
    if recipe is None:
        if model is None:
            raise RecipeError("there is nothing to serve; expected `--model` or `--recipe`")
        folder = Path(model).expanduser()
        is_here = folder.is_dir()
        return Model(str(folder.resolve()), folder.resolve().name) if is_here else Model(model, model)
    judge = read_recipe(recipe).judge
    if judge.kind == "embedded" or judge.model is None:
        raise RecipeError(f"{recipe}: `judge.kind: {judge.kind}` needs no server; expected `server`, and `model`")
    beside = Path(locate(judge.model, recipe.absolute().parent))
    source = choose_model(model, None).source if model else str(beside) if beside.is_dir() else judge.model
    return Model(source, judge.model, None if Path(source).is_dir() else judge.revision)


def choose_settings(recipe: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose how a model is held, as fields of Serving: what is `given` (None: nothing), else the recipe's."""
    of_recipe = read_recipe(recipe).judge.serve.model_dump(exclude_none=True) if recipe else {}
    return {**of_recipe, **{name: value for name, value in given.items() if value is not None}}


def write_address(host: str, port: int) -> str:
    """Write the address at which a server on `host` is reached from here.

    >>> write_address("::", 8000)
    'http://[::1]:8000'
    """
    reached = _EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def open_log() -> Path:
    """Make a new temporary log file."""
    handle, path = tempfile.mkstemp(prefix="revealed-vllm-", suffix=".log")
    os.close(handle)
    return Path(path)


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _find_port(host: str, port: int) -> int:
    """Check that a port is free, or find a free one for 0: another server's health would be taken for ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RecipeError(
                f"{host}:{port}: {error.strerror or error}; expected a free port of this machine"
            ) from None
        return int(probe.getsockname()[1])


def _wait_for_health(top: str, process: subprocess.Popen[bytes], log: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while not _is_healthy(top):
        if process.poll() is not None:
            raise _tell_death(process, log)
        if time.monotonic() > end:
            raise FatalError(
                f"{top}: the server is not healthy after {patience:g} s; its last words, of {log}:\n{quote_end(log)}"
            )
        time.sleep(_LOOK_SECONDS)


def _is_healthy(top: str) -> bool:
    try:
        return httpx.get(f"{top}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _tell_death(process: subprocess.Popen[bytes], log: Path) -> FatalError:
    return FatalError(f"the server ended (code {process.returncode}); its last words, of {log}:\n{quote_end(log)}")
