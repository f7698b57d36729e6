"""Servers of models that speak OpenAI's HTTP API: what they are asked, and what becomes of an answer that fails."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, TypeVar

import httpx

from flows.audit.scoring import OK
from schemas.errors import FatalError, TransientError

TOKENIZE = "/tokenize"
"""A path of vLLM's own, which lies beside `/v1`."""

_AT_ONCE = 8  # requests under way; a server batches what comes together
_REFUSING = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}  # no other request would fare better
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}  # with all from 500 on, worth another try
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request: the JSON where the state is `ok`, else the state alone: `timeout` or `error`.

    passing: whether the same request may fare better later.
    """

    state: str
    body: Any = None
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server: base URL as OpenAI's clients take it (`http://HOST:PORT/v1`), and the seconds a request may take.

    waits: seconds before each further try. A key is read from OPENAI_API_KEY where there is one, and is never shown.
    """

    url: str
    timeout: float = 120.0
    waits: tuple[float, ...] = (1.0, 4.0)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Send a request (GET without a body), again where it failed in a way that may pass.

        Raises FatalError where the server does not know the address or the key.
        """
        answer = self._try(path, body)
        for wait in self.waits:
            if not answer.passing:
                break
            time.sleep(wait)
            answer = self._try(path, body)
        return answer

    def ask_all(self, ask: Callable[[_Item], Answer], items: Sequence[_Item]) -> list[Answer]:
        """Ask about many things, some at a time -> the answers in the order of the things."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(ask, items))

    def find_model(self, wanted: str | None = None) -> str:
        """Name the server's first model, or the wanted one, before much is asked of it.

        Raises TransientError where the server does not answer, FatalError where it has no such model.
        """
        answer = self.ask("/models")
        if answer.passing:
            raise TransientError(f"{self.url}: no server answers there ({answer.state}); start it, or correct --url")
        listed = dig(answer.body, "data")
        names = [str(dig(model, "id")) for model in listed] if isinstance(listed, list) else []
        if not names or wanted not in {None, *names}:
            said = ", ".join(names[:5]) or "no model"
            raise FatalError(f"{self.url}/models: {said} is served there; expected {wanted or 'at least one'}")
        return wanted or names[0]

    def _try(self, path: str, body: dict[str, Any] | None) -> Answer:
        base = self.url.removesuffix("/")
        url = (base.removesuffix("/v1") if path == TOKENIZE else base) + path
        key = os.environ.get("OPENAI_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with httpx.Client(timeout=self.timeout, headers=headers, verify=_trusted()) as client:
                response = client.get(url) if body is None else client.post(url, json=body)
            if response.status_code in _REFUSING:
                raise FatalError(f"{url}: status {response.status_code}; expected a server that answers there")
            if not response.is_success:
                return Answer("error", passing=response.status_code in _BUSY or response.is_server_error)
            return Answer(OK, response.json())
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise FatalError(f"{url}: {error}; expected http://HOST:PORT/v1") from None
        except httpx.TimeoutException:
            return Answer("timeout", passing=True)
        except httpx.HTTPError:
            return Answer("error", passing=True)
        except ValueError:  # no JSON
            return Answer("error")


@cache
def _trusted() -> SSLContext:
    """Load the certificates once: that takes longer than most requests."""
    return httpx.create_ssl_context()


def dig(value: Any, *path: str | int) -> Any:
    """Take a value out of JSON by keys and places; None where it is not there."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
