"""Presentations: how the commands show a release, by its route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType

from flows.continuation_pages import lay_out_continuation, lay_out_continuation_statistics
from flows.feedback_pages import lay_out_feedback, lay_out_feedback_statistics
from flows.judging.drift import compare_builds
from flows.pages import lay_out_row
from flows.summary import lay_out_rules, lay_out_statistics
from miners.chats.mining import views as chat_views
from miners.chats.mining.views import View as ChatView
from miners.forums.mining.views import View, find_view
from schemas.inputs import Route
from schemas.manifest import Record, ReleaseManifest
from schemas.recipe import Recipe, check
from schemas.statistics import FeedbackStatistics, Statistics
from warehouse.continuation_statistics import continuation_statistics
from warehouse.feedback_statistics import feedback_statistics
from warehouse.inspection import Row
from warehouse.root import Root
from warehouse.statistics import release_statistics


@dataclass(frozen=True, slots=True)
class Presentation:
    """How releases of one route are shown. lay_out_statistics takes what `describe` answers, and the manifest."""

    describe: Callable[[Root, ReleaseManifest], Record]
    lay_out_statistics: Callable[[Any, ReleaseManifest], RenderableType]
    lay_out_row: Callable[[Row], RenderableType]


def presentation_of(manifest: ReleaseManifest) -> Presentation:
    """Find how a release is shown."""
    return _PRESENTATIONS[Route(manifest.route)]


def find_views(recipe: Recipe) -> Mapping[Route, View | ChatView]:
    """Find the views by which a recipe's releases take their rows; pages have none."""
    chats = chat_views.find_view(recipe.feedback.view)
    return {Route.FORUMS: find_view(recipe.view, recipe.custom), Route.CHATS: chats}


def _lay_out_pairs(statistics: Statistics, manifest: ReleaseManifest) -> RenderableType:
    recipe = check(Recipe, manifest.recipe, f"recipe of {manifest.name}")
    rules = lay_out_rules(manifest.funnel, find_view(recipe.view, recipe.custom))
    return Group(lay_out_statistics(statistics), rules)


def _describe_feedback(root: Root, manifest: ReleaseManifest) -> FeedbackStatistics:
    view = chat_views.find_view(check(Recipe, manifest.recipe, f"recipe of {manifest.name}").feedback.view)
    found = feedback_statistics(root, manifest, view.categories, view.published)
    return found.model_copy(update={"drift": compare_builds(root, manifest)})


_PRESENTATIONS: Mapping[Route, Presentation] = MappingProxyType(
    {
        Route.FORUMS: Presentation(release_statistics, _lay_out_pairs, lay_out_row),
        Route.WEB: Presentation(continuation_statistics, lay_out_continuation_statistics, lay_out_continuation),
        Route.CHATS: Presentation(_describe_feedback, lay_out_feedback_statistics, lay_out_feedback),
    }
)
