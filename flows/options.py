"""Options that several groups of commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def root_option(command: Command) -> Command:
    """Take `--root`, the warehouse."""
    return click.option(
        "--root",
        envvar="REVEALED_ROOT",
        default="warehouse-root",
        show_default=True,
        help="The warehouse: a folder or any fsspec URL. Also REVEALED_ROOT.",
    )(command)
