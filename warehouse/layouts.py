"""Layouts: what sets the releases of the routes apart. Everything else about a release is the same for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.inputs import Route
from warehouse.projections import PROJECTIONS, Projection


@dataclass(frozen=True, slots=True)
class Layout:
    """How releases of one route are laid out.

    rows, group: how people call a release's rows, and the unit that never straddles two splits.
    canonical: config with every column; its files lie directly under the build's folder.
    default: config that `load_dataset(FOLDER)` gives, which is one of the projections.
    projections: {config: function from the canonical columns to a trainer's}.
    whole: columns beside group and cluster of which no value straddles two splits; null is no value.
    windows: whether rows come in windows, of the recipe's `windows.size`.
    """

    rows: str
    group: str
    canonical: str
    default: str
    projections: Mapping[str, Projection]
    whole: tuple[str, ...] = ()
    windows: bool = False

    @property
    def configs(self) -> tuple[str, ...]:
        """All configs, the canonical one first."""
        return (self.canonical, *self.projections)

    def folder(self, config: str) -> str:
        """Say where a config's files lie under the build's folder: `trl/`, and for the canonical one nothing."""
        return "" if config == self.canonical else f"{config}/"


LAYOUTS: Mapping[Route, Layout] = MappingProxyType(
    {
        Route.FORUMS: Layout("pairs", "thread", "pairs", "trl", PROJECTIONS[Route.FORUMS]),
        Route.WEB: Layout(
            "continuations", "document", "continuations", "in_batch", PROJECTIONS[Route.WEB], windows=True
        ),
        Route.CHATS: Layout("turns", "conversation", "feedback", "ordinal", PROJECTIONS[Route.CHATS], whole=("user",)),
    }
)


def layout_of(route: str) -> Layout:
    """Look a route's layout up; a manifest holds the route's name."""
    return LAYOUTS[Route(route)]
