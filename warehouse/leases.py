"""Leases: how builds and garbage collection on one warehouse keep out of each other's way.

A build may run beside any number of builds: partitions are named by content and appear whole, so two builds that make
the same one write the same bytes. Only collection removes things. Each side first shows itself, then looks for the
other, so that of a build and a collection that start together at least one sees the other and yields.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from schemas.errors import FatalError, TransientError
from schemas.manifest import Record
from warehouse.root import Root

_BEAT_SECONDS = 20.0
_STALE_SECONDS = 180.0  # nine missed beats: its process is gone


class Lease(Record):
    """Who is at work on the warehouse."""

    holder: str
    kind: Literal["build", "collection"]
    host: str
    pid: int
    seen: float
    """Seconds since the epoch of the last sign of life."""


@contextmanager
def hold_lease(root: Root, holder: str, kind: Literal["build", "collection"]) -> Iterator[None]:
    """Hold a lease while the block runs; raises FatalError where the other kind is at work."""
    key = f"leases/{kind}-{uuid.uuid4().hex}.json"
    stop = threading.Event()

    def beat() -> None:
        lease = Lease(holder=holder, kind=kind, host=socket.gethostname(), pid=os.getpid(), seen=time.time())
        root.write_record(key, lease)

    def keep_beating() -> None:
        while not stop.wait(_BEAT_SECONDS):
            try:
                beat()
            except TransientError:
                continue  # the next beat may pass; a lease lives through several missed ones

    beat()
    heart = threading.Thread(target=keep_beating, name="lease", daemon=True)
    try:
        _refuse_company(root, kind)
        heart.start()
        yield
    finally:
        stop.set()
        if heart.is_alive():
            heart.join()
        root.delete(key)


def live_leases(root: Root) -> list[Lease]:
    """List the leases with a recent sign of life; sweeps away those of dead processes."""
    found = []
    for key in root.keys("leases"):
        lease = root.read_record(key, Lease)
        if lease is None:
            continue
        if _is_dead(lease):
            root.delete(key)
        else:
            found.append(lease)
    return found


def _is_dead(lease: Lease) -> bool:
    if time.time() - lease.seen > _STALE_SECONDS:
        return True
    if lease.host != socket.gethostname():
        return False
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # alive, and another user's
    return False


def _refuse_company(root: Root, kind: str) -> None:
    for lease in live_leases(root):
        if lease.kind != kind:
            raise FatalError(
                f"{root.url}: a {lease.kind} is at work here ({lease.holder}, process {lease.pid} on {lease.host}); "
                f"wait for its end. A lease without a sign of life ends after {_STALE_SECONDS:.0f} s"
            )
