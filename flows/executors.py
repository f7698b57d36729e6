"""Executors: where partitions are made. One interface, `concurrent.futures.Executor`, and the same bytes from each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from schemas.errors import FatalError

_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_CPU_THREADS")
_ANSWER_SECONDS = 10.0  # a scheduler that is there answers at once


@dataclass(frozen=True, slots=True)
class Resources:
    """Where to run: `workers` local processes (1 runs in this process), or a Dask cluster.

    dask: a scheduler's address, or `local` for a cluster of `workers` processes on this machine.
    """

    workers: int = 0
    dask: str | None = None

    @property
    def processes(self) -> int:
        """Number of local processes; one a core unless said."""
        return self.workers or len(os.sched_getaffinity(0))


class SerialExecutor(Executor):
    """Runs each call at once, in the calling thread: for tests, debuggers and roots that only this process sees.

    Calls from several threads take turns, so that memory holds one partition, whoever runs the steps.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call now; its error stays in the future, as with any executor."""
        future: Future[Any] = Future()
        with self._turn:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 (an executor hands every error to who asks for the result)
                future.set_exception(error)
        return future


@contextmanager
def open_executor(resources: Resources, *, shared_root: bool) -> Iterator[Executor]:
    """Open the executor that the resources name. shared_root: whether other processes see the warehouse."""
    if resources.dask is not None:
        if not shared_root:
            raise FatalError("a root in memory is seen by this process only; expected a folder or a URL with --dask")
        yield from _open_dask(resources.dask, resources.processes)
    elif resources.processes == 1 or not shared_root:
        yield SerialExecutor()
    else:
        pool = ProcessPoolExecutor(
            resources.processes, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
        )
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _open_dask(address: str, workers: int) -> Iterator[Executor]:
    import distributed  # noqa: PLC0415 (slow to import)

    open_client: Any = distributed.Client  # untyped
    open_cluster: Any = distributed.LocalCluster

    with ExitStack() as stack:
        if address == "local":
            one_thread = dict.fromkeys(_ONE_THREAD, "1")
            cluster = open_cluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, env=one_thread)
            client = stack.enter_context(open_client(stack.enter_context(cluster)))
        else:
            try:
                client = stack.enter_context(open_client(address, timeout=_ANSWER_SECONDS))
            except (OSError, ValueError) as error:
                raise FatalError(
                    f"{address}: no Dask scheduler answers ({error}); expected tcp://HOST:PORT, or `local`"
                ) from None
        try:
            yield client.get_executor(pure=False)
        except distributed.KilledWorker as error:
            raise FatalError(
                f"{address}: Dask gave up on a partition ({error}), most likely for want of memory; expected about "
                "1 GiB a worker thread: raise the workers' limit, or lower `slice_mib` and `bucket_mib` in the recipe"
            ) from error


def _prepare_worker() -> None:
    """One thread a worker; an interrupt ends it, and so the pool and every step; none outlives a killed build."""
    signal.signal(signal.SIGINT, _leave)
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True, name="parent-watch").start()


def _leave(_number: int, _frame: object) -> None:
    """End at once. The default action would not do: polars puts a handler of its own before it."""
    os._exit(130)


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
