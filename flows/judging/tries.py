"""Tries: one request to a server, and what kind of end it took. What is tried again is decided by the kind."""

import email.utils
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

_LONGEST_WAIT = 600.0  # seconds that a server may ask for
_SHOWN_CHARS = 300
_MOST_BYTES, _CHUNK_BYTES = 1 << 24, 1 << 16  # of an answer; the longest that is honest has some kilobytes
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_BUSY = {408, 425, 429, 503, 529}
_DECLINED = {400, 413, 422}
_KEY = "a key that it takes: `judge.api_key` names the environment variable that holds one"
_SERVER = "an OpenAI-compatible server that takes requests"
_EXPECTED = {
    401: _KEY,
    403: _KEY,
    404: "`judge.urls` up to /v1, and as `judge.model` a name that the server's /v1/models lists",
}
_LONG = ("context length", "context_length", "maximum context", "max_model_len", "too long", "too many tokens")


class Kind(StrEnum):
    """How a try ended."""

    ANSWERED = "answered"
    BUSY = "busy"  # the server asks for patience: again, and fewer at once
    FAILED = "failed"  # it broke, or nobody was there: again
    TIMEOUT = "timeout"  # again
    TOO_LONG = "too_long"  # beyond the model's context
    FILTERED = "filtered"  # a filter before the model
    DECLINED = "declined"  # it does not take this request
    FATAL = "fatal"  # it would not take any


@dataclass(frozen=True, slots=True)
class Try:
    """The end of a request. body: the JSON of an answer. wait: seconds asked for. gone: nobody is there.

    expected: what would have been right, where the status says what is not.
    """

    kind: Kind
    body: Any = None
    detail: str = ""
    wait: float | None = None
    gone: bool = False
    expected: str = _SERVER


def find_proxy(url: str) -> str | None:
    """Find the proxy that the environment names for a server; None for one on this machine, and where none is named."""
    parts = urlsplit(url)
    if parts.hostname in _LOCAL or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


async def send(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    timeout: float,  # noqa: ASYNC109
    *,
    headers: dict[str, str],
    proxy: str | None,
) -> Try:
    """Send a request; whatever goes wrong is an end of its own kind, and nothing is raised."""
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with session.post(
            url, data=body, headers=headers, timeout=limit, allow_redirects=False, proxy=proxy
        ) as response:
            said = await _read_body(response)
            return _read(response, said)
    except TimeoutError:
        return Try(Kind.TIMEOUT, detail=f"no answer within {timeout:g} s")
    except (ValueError, aiohttp.ClientConnectorCertificateError) as error:  # of address, header or proxy
        return Try(Kind.FATAL, detail=str(error))
    except aiohttp.ClientConnectorError as error:
        return Try(Kind.FAILED, detail=str(error), gone=True)
    except aiohttp.ClientError as error:
        return Try(Kind.FAILED, detail=f"{type(error).__name__}: {error}")


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Read what a server says; None where it says more than any answer has."""
    said = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        said += chunk
        if len(said) > _MOST_BYTES:
            return None
    return bytes(said)


def _read(response: aiohttp.ClientResponse, said: bytes | None) -> Try:
    status = response.status
    if said is None:
        return Try(Kind.FAILED, detail=f"status {status}, and more than {_MOST_BYTES >> 20} MiB")
    if status == 200:  # noqa: PLR2004
        return _read_answer(said)
    detail = f"status {status} ({_show(said)})"
    if status in _BUSY:
        return Try(Kind.BUSY, detail=detail, wait=_read_wait(response.headers.get("Retry-After")))
    if status in _DECLINED:
        return Try(_tell_declined(said.decode(errors="replace").lower()), detail=detail)
    kind = Kind.FAILED if status >= 500 else Kind.FATAL  # noqa: PLR2004
    return Try(kind, detail=detail, expected=_EXPECTED.get(status, _SERVER))


def _read_answer(said: bytes) -> Try:
    try:
        body = orjson.loads(said)
    except orjson.JSONDecodeError as error:
        return Try(Kind.FAILED, detail=f"the answer is no JSON ({error}): {_show(said)}")
    if not (isinstance(body, dict) and body.get("choices")):
        return Try(Kind.FAILED, detail=f"the answer is no chat completion: {_show(said)}")
    return Try(Kind.ANSWERED, body)


def _tell_declined(words: str) -> Kind:
    """Tell by the server's words why it declined, since servers share no codes."""
    if "content_filter" in words or "content management policy" in words:
        return Kind.FILTERED
    return Kind.TOO_LONG if any(word in words for word in _LONG) else Kind.DECLINED


def _read_wait(header: str | None) -> float | None:
    """Read Retry-After, which is a number of seconds or a date; None where it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 (not NaN)


def _show(said: bytes) -> str:
    """Give a server's words, shortened and without characters that could play with a terminal."""
    try:
        found = orjson.loads(said)
        text = str(found["error"]["message"] if isinstance(found["error"], dict) else found["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = said[: 4 * _SHOWN_CHARS].decode(errors="replace")
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:_SHOWN_CHARS] or "no words"
