"""A build: from a recipe to its releases. The one path of code behind the command line, Prefect and the tests."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from flows import chats, decontamination, drawing, duplicates, forums, shards, web
from flows.engine import Engine, Made, patiently
from flows.entries import ResolvedEntry, resolve_entries
from flows.plan import Plan
from miners.forums.mining.views import find_view
from schemas.errors import CorruptError, FatalError
from schemas.inputs import Route
from schemas.manifest import ReleaseManifest
from schemas.recipe import Recipe
from warehouse.dedupe.clusters import check_keep
from warehouse.leases import hold_lease
from warehouse.partitions import record_key
from warehouse.publication import publish, refuse_empty
from warehouse.root import Root

_GROUPS: Mapping[Route, str] = MappingProxyType(
    {Route.FORUMS: forums.GROUPS, Route.WEB: web.GROUPS, Route.CHATS: chats.GROUPS}
)

CODE_VERSION = importlib.metadata.version("revealed")
"""Version of the project; every release names it."""

_REPAIRS = 3  # corrupt partitions made again in one run before giving up


@dataclass
class Build:
    """One build of one recipe on one warehouse. `run` may be called again after any error, and resumes.

    folder: where the recipe's relative paths start. sample: share of threads and documents; below 1 the release is
    `NAME-sample`.
    """

    recipe: Recipe
    root: Root
    engine: Engine
    folder: Path = field(default_factory=Path.cwd)
    sample: float = 1.0

    def run(self) -> tuple[ReleaseManifest, ...]:
        """Build and publish a release for each route; answers the manifests. What is found corrupt is made again."""
        find_view(self.recipe.view, self.recipe.custom)
        check_keep(self.recipe.dedupe.keep)
        with hold_lease(self.root, f"revealed build {self.recipe.name}", "build"):
            entries = patiently(partial(resolve_entries, self.recipe, self.folder, self.root))
            for _ in range(_REPAIRS):
                try:
                    return self._run(entries)
                except CorruptError as error:
                    self._condemn(error)
            return self._run(entries)

    def _run(self, entries: list[ResolvedEntry]) -> tuple[ReleaseManifest, ...]:
        self.engine.made.clear()
        self.engine.ended.clear()
        plan = Plan(chats.settle(self.recipe), self.root, self.engine, self.sample, self.folder, tuple(entries))
        selected = _mine(plan)
        drafts = [shards.draft_release(plan.of(route), route, rows, CODE_VERSION) for route, rows in selected.items()]
        for draft in drafts:  # all or none: a release must not come out beside one that cannot
            refuse_empty(draft)
        return tuple(patiently(partial(publish, self.root, draft)) for draft in drafts)

    def _condemn(self, error: CorruptError) -> None:
        """Forget a partition whose file turned out broken, so that it is made again."""
        for stage, sources in self.engine.made.items():
            if any(part.fingerprint == error.fingerprint for parts in sources.values() for part in parts):
                self.root.delete(record_key(stage, str(error.fingerprint)))
                return
        raise FatalError(f"{error}; it is not of this build: run `revealed verify`") from error


def _mine(plan: Plan) -> dict[Route, Made]:
    """Mine the inputs of every route, with one dedupe over all; answers each route's rows, bucketed by place."""
    own = {route: plan.of(route) for route in Route}
    web.check_settings(own[Route.WEB])
    chats.check_settings(own[Route.CHATS])
    benchmarks = decontamination.index_benchmarks(plan)
    mined = forums.mine(own[Route.FORUMS])
    documents = web.gather_documents(own[Route.WEB])
    conversations = chats.gather_chats(own[Route.CHATS])
    decisions = duplicates.decide(plan, mined.threads | documents | conversations, _GROUPS)
    selected: dict[Route, Made] = {}
    if mined.threads:
        selected[Route.FORUMS] = drawing.draw_view(own[Route.FORUMS], mined, decisions, benchmarks)
    if documents:
        selected[Route.WEB] = web.deal_blocks(own[Route.WEB], documents, decisions, benchmarks)
    if conversations:
        selected[Route.CHATS] = chats.collect_feedback(own[Route.CHATS], conversations, decisions, benchmarks)
    return selected
