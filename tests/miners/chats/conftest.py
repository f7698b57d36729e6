"""Reading whole inputs of a source of conversations."""

import pyarrow as pa
import pytest

from miners.source import Reading
from schemas.inputs import CONVERSATION


@pytest.fixture
def read():
    """Read an input: (conversations as dicts, reasons of the rows that were dropped)."""

    def read(source, path, slice_bytes=1 << 30, chunk_bytes=1 << 20, **options):
        given = source.options(**options)
        [(name, found)] = source.find(str(path)).items()
        outcomes = [
            outcome
            for part in source.plan(found, given, slice_bytes)
            for outcome in source.read(part, Reading(source.community(name), "salt", given, chunk_bytes))
        ]
        for outcome in outcomes:
            outcome.tally()
        kept = pa.concat_tables([outcome.kept for outcome in outcomes])
        assert kept.schema == CONVERSATION
        return kept.to_pylist(), [reason for outcome in outcomes for reason in outcome.dropped["reason"].to_pylist()]

    return read
