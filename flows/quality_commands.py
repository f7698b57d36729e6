"""The commands of `revealed quality`."""

from pathlib import Path

import click


@click.group()
def quality() -> None:
    """Train classifiers that filter documents and posts by their text."""


@quality.command()
@click.argument("recipe", type=click.Path(path_type=Path))
def train(recipe: Path) -> None:
    """Train the classifier that RECIPE describes, beside it, and say how well it does on texts it has not seen."""
    from rich.markdown import Markdown  # noqa: PLC0415 (imported when a command runs)

    from flows.pages import open_console, show  # noqa: PLC0415
    from flows.quality import train_quality  # noqa: PLC0415
    from flows.quality_card import write_card  # noqa: PLC0415

    folder, manifest = train_quality(recipe.resolve())
    console = open_console()
    console.print(Markdown(show(write_card(manifest)).plain))
    console.print(show(f"the model lies in {folder}"), soft_wrap=True)
