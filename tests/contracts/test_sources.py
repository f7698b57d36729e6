"""Every source keeps the rules that the house relies on; and the kit that says so finds those that do not."""

import importlib
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flows.conformance.findings import State
from flows.conformance.kit import check_source, list_checks
from flows.conformance.specimen import Effort
from flows.skeleton import write_source
from miners.registry import find_source, list_sources
from schemas.inputs import Route

QUICK = Effort(threads=60, mib=24, kills=(1,))


READERS = {getattr(source.read, "__func__", source.read): name for name, source in reversed(list_sources().items())}
"""By the function that reads, the first of its sources. Memory and speed are measured once a reader: how much it holds
is the reader's doing, and the samples for it are most of the time of these tests."""

SOUND = {"sound": Route.FORUMS, "plain": Route.WEB, "talk": Route.CHATS}
"""What `revealed source new` writes: a source of posts, one of documents, and one of conversations."""

BROKEN = {
    "wrong_types": ("schema", "column `created_at` is string", {"schema", "times"}),
    "unstable_ids": ("ids", "`post_id` differs in a second read", {"ids", "partitions", "threads", "resume"}),
    "score_as_text": ("scores", "the score is text", {"schema", "scores"}),
    "no_license": ("license", "the licence is missing in", {"license"}),
    "all_at_once": ("memory", "unbounded memory: one outcome of", {"memory"}),
    "held_back": ("memory", "unbounded memory: it grew by", {"memory"}),
    "unstable_documents": ("ids", "`doc_id` differs in a second read", {"ids", "partitions", "resume"}),
    "unlicensed_documents": ("license", "the licence is missing in", {"license"}),
    "no_text": ("texts", "a document has no text", {"texts"}),
    "unstable_chats": ("ids", "`conversation_id` differs in a second read", {"ids", "partitions", "resume"}),
    "named_users": ("users", "the user is no hash", {"users"}),
    "strange_roles": ("messages", "the role `Dr. Watson` is unknown", {"messages"}),
}
"""Of each broken source: the check that names its fault, in which words, and all checks that must see it."""


def explain(conformance):
    return [(check.name, finding) for check in conformance.checks for finding in check.findings]


@pytest.mark.parametrize("name", list_sources())
def test_every_source_conforms(name):
    source = find_source(name)
    measured = name in READERS.values()
    conformance = check_source(source, effort=QUICK if measured else replace(QUICK, mib=0))
    assert conformance.failed == (), explain(conformance)
    [memory] = [check for check in conformance.checks if check.name == "memory"]
    assert (memory.state is State.OK) == measured
    assert [check.name for check in conformance.checks] == list(list_checks(source.route))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Sound and broken sources, installed as packages are: on the path, with entry points."""
    site = tmp_path / "site"
    site.mkdir()
    for name, route in SOUND.items():
        write_source(name, tmp_path, package=True, route=route)
        shutil.copy(tmp_path / f"revealed-{name}" / f"revealed_{name}.py", site)
    shutil.copy(Path(__file__).with_name("broken_sources.py"), site / "revealed_broken.py")
    named = [f"{name} = revealed_{name}:SOURCE" for name in SOUND]
    named += [f"{name} = revealed_broken:{name.upper()}" for name in BROKEN]
    info = site / "revealed_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: revealed-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[revealed.sources]", *named]))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    importlib.invalidate_caches()
    yield site
    for module in (*(f"revealed_{name}" for name in SOUND), "revealed_broken"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("name", SOUND)
def test_a_skeleton_conforms_as_it_is_written(installed, name):
    conformance = check_source(find_source(name), effort=QUICK)
    assert conformance.failed == (), explain(conformance)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_source_is_found_by_name(installed, name):
    check, message, failed = BROKEN[name]
    effort = replace(QUICK, mib=QUICK.mib if "memory" in failed else 0, kills=QUICK.kills if "resume" in failed else ())
    conformance = check_source(find_source(name), effort=effort)
    assert set(conformance.failed) == failed, explain(conformance)
    [found] = [found for found in conformance.checks if found.name == check]
    assert any(message in finding.what for finding in found.findings), found
    assert all(finding.where and finding.expected for finding in found.findings)
