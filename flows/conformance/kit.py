"""The kit: all checks in order, over a source's own sample or over an input."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from flows.conformance import conversations, documents, rows, runs, tables, threads
from flows.conformance.findings import Checked, Conformance, Finding, State, attempt, skip
from flows.conformance.specimen import Effort, Specimen, find_input, open_sample
from miners.source import Source
from schemas.fingerprints import Json
from schemas.inputs import Route
from schemas.recipe import check

Check = Callable[[Specimen], list[Finding]]

_OF_ROWS: Mapping[str, Check] = {
    "reading": tables.check_reading,
    "schema": tables.check_schema,
    "ids": rows.check_ids,
    "partitions": runs.check_partitions,
    "times": rows.check_times,
    "license": rows.check_license,
}
_OF_ROUTE: Mapping[Route, Mapping[str, Check]] = {
    Route.FORUMS: {
        "scores": rows.check_scores,
        "threads": threads.check_threads,
        "authors": rows.check_people,
    },
    Route.WEB: {"texts": documents.check_texts},
    Route.CHATS: {
        "messages": conversations.check_messages,
        "users": rows.check_people,
    },
}
_OF_RUNS: Mapping[str, Check] = {
    "memory": runs.check_memory,
    "resume": runs.check_resume,
    "garbage": runs.check_garbage,
    "speed": runs.check_speed,
}


def list_checks(route: Route) -> Mapping[str, Check]:
    """List what is checked of a source, in this order; without the first, none of the others."""
    return {**_OF_ROWS, **_OF_ROUTE[route], **_OF_RUNS}


def check_source(
    source: Source, path: str | None = None, options: Mapping[str, Json] | None = None, effort: Effort | None = None
) -> Conformance:
    """Make all checks of a source: of rows over the input at `path`, or else over its own sample.

    Checks of memory, speed, kills and broken files always read samples, which can be made as large as they need.
    Raises InputError where the path holds no input, and RecipeError where the options are none of the source's.
    """
    with tempfile.TemporaryDirectory(prefix="revealed-check-") as folder:
        specimen = _open(source, path, options or {}, Path(folder), effort or Effort())
        if isinstance(specimen, Finding):
            return Conformance(source.name, "its sample", (Checked("reading", (specimen,)),))
        checks: list[Checked] = []
        for name, made in list_checks(source.route).items():
            blocked = bool(checks) and checks[0].state is State.FAILED
            found = (
                [skip("the input could not be read")] if blocked else attempt(partial(made, specimen), specimen.home)
            )
            checks.append(Checked(name, (found,) if isinstance(found, Finding) else tuple(found)))
        return Conformance(source.name, path or "its sample", tuple(checks))


def _open(
    source: Source, path: str | None, options: Mapping[str, Json], scratch: Path, effort: Effort
) -> Specimen | Finding:
    """Open the input, or write the sample."""
    validated = check(source.options, dict(options), f"options of {source.name}")
    if path is not None:
        found = find_input(source, path)
    else:
        written = attempt(partial(open_sample, source, scratch / "sample", effort.threads), "")
        if isinstance(written, Finding):
            return written
        found = written
    return Specimen(source, *found, validated, path is None, scratch, effort)
