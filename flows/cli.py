"""The command line. What a command needs is imported when it runs, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import Any

import click

from flows.audit_commands import audit
from flows.judge_commands import judge
from flows.options import Command, root_option
from flows.quality_commands import quality
from schemas.errors import RevealedError


def _resource_options(command: Command) -> Command:
    for option in (
        click.option("--dask", metavar="ADDRESS", help="Run on a Dask cluster: tcp://HOST:PORT, or `local`."),
        click.option("--workers", type=click.IntRange(min=1), help="Local processes; default: one a core."),
    ):
        command = option(command)
    return command


class _Group(click.Group):
    """Shows our own errors as one line, and returns their exit codes: 2 a user's mistake, 3 a ceiling."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RevealedError as error:
            click.secho(f"error: {_plain(str(error))}", fg="red", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="revealed")
def main() -> None:
    """Mine what people prefer from what they do, into Parquet shards that reward-model training reads."""


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@root_option
@_resource_options
@click.option(
    "--prefect", "use_prefect", is_flag=True, help="Run as a Prefect flow; so too where PREFECT_API_URL is set."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--sample", metavar="SHARE", help="Look at a share of the threads, such as 1%; published as NAME-sample.")
def build(
    recipe: Path, root: str, dask: str | None, workers: int | None, use_prefect: bool, dry_run: bool, sample: str | None
) -> None:
    """Build RECIPE and publish its release. Killed or repeated, it goes on where it was."""
    from flows.commands import build_recipe, explain_plan
    from flows.jobs import Job

    job = Job(recipe=recipe.resolve(), root=root, workers=workers or 0, dask=dask, sample=_share(sample))
    if dry_run:
        explain_plan(job)
    else:
        build_recipe(job, use_prefect=use_prefect)


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@root_option
@_resource_options
@click.option("--cron", required=True, help='When, as cron says it: "0 3 * * 1" is Mondays at three.')
@click.option("--pool", default="revealed", show_default=True, help="The Prefect work pool whose workers run it.")
@click.option("--timezone", default="UTC", show_default=True)
def schedule(
    recipe: Path, root: str, dask: str | None, workers: int | None, cron: str, pool: str, timezone: str
) -> None:
    """Make a Prefect deployment that builds RECIPE on a schedule. A worker runs it: prefect worker start."""
    from flows.deployments import deploy
    from flows.jobs import Job

    job = Job(recipe=recipe.resolve(), root=root, workers=workers or 0, dask=dask)
    deploy(job, cron=cron, pool=pool, timezone=timezone)


@main.command()
@root_option
@_resource_options
@click.option(
    "--threads", type=click.IntRange(min=20), default=2000, show_default=True, help="Size of the made-up site."
)
def demo(root: str, dask: str | None, workers: int | None, threads: int) -> None:
    """Generate a realistic small dump, build a release from it, and show it."""
    from flows.demo import run_demo

    run_demo(root=root, workers=workers or 0, dask=dask, threads=threads)


@main.command()
@click.option("--views", "what", flag_value="views", help="List the views of pairs and of feedback instead.")
@click.option("--benchmarks", "what", flag_value="benchmarks", help="List the benchmarks to decontaminate against.")
def sources(what: str | None) -> None:
    """List the sources that recipes can name."""
    from flows.commands import list_names

    list_names(what or "sources")


@main.group()
def source() -> None:
    """Start a new source, write a sample of one, or check that it keeps the rules."""


@source.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="A checkout of revealed, or where a package is to be; default: the current folder.",
)
@click.option("--package", is_flag=True, help="Write an installable package, even in a checkout.")
@click.option(
    "--route",
    type=click.Choice(["forums", "web", "chats"]),
    default="forums",
    show_default=True,
    help="A source of posts, of documents, or of conversations.",
)
def new(name: str, folder: Path, package: bool, route: str) -> None:
    """Write a source NAME that runs, with its sample and its test, to be fitted to a community or a corpus."""
    from flows.source_commands import start_source

    start_source(name, folder, package=package, route=route)


@source.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--threads", type=click.IntRange(min=1), default=500, show_default=True, help="Or documents.")
def sample(name: str, folder: Path, threads: int) -> None:
    """Write a sample of the source NAME into an empty FOLDER."""
    from flows.source_commands import write_sample

    write_sample(name, folder, threads)


@source.command()
@click.argument("name")
@click.option("--input", "path", metavar="PATH", help="Check over this input; default: the source's own sample.")
@click.option("--options", metavar="YAML", default="", help="The source's options, as a recipe has them.")
def check(name: str, path: str | None, options: str) -> None:
    """Check that the source NAME keeps the rules; says what is wrong, where, and what would be right."""
    from flows.source_commands import check_and_show

    check_and_show(name, path, options)


@main.command()
@root_option
@click.option("--release", help="Name of the release; default: the only one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def stats(root: str, release: str | None, as_json: bool) -> None:
    """Say what is in the latest release: funnel, splits, sources, margins, lengths."""
    from flows.commands import show_statistics

    show_statistics(root, release, as_json=as_json)


@main.command()
@click.argument("uid")
@root_option
@click.option("--release", help="Name of the release; default: the only one.")
def show(uid: str, root: str, release: str | None) -> None:
    """Show one row as a person would read it, and where it came from. UID may be its first digits, or a dropped ref."""
    from flows.commands import show_row

    show_row(root, release, uid)


@main.command()
@root_option
@click.option("--release", help="Verify this release only; default: the whole warehouse.")
def verify(root: str, release: str | None) -> None:
    """Check hashes, counts, schemas and pointers. What is broken among partitions is made again by the next build."""
    from flows.commands import verify_warehouse

    verify_warehouse(root, release)


@main.command()
@root_option
@click.option("--dry-run", is_flag=True, help="Count only.")
def gc(root: str, dry_run: bool) -> None:
    """Remove what no published build needs."""
    from flows.commands import collect

    collect(root, dry_run=dry_run)


main.add_command(audit)
main.add_command(judge)
main.add_command(quality)


def _plain(message: str) -> str:
    """Take control characters out: a message may quote a file's name."""
    return "".join(letter for letter in message if letter.isprintable() or letter == "\n")


def _share(text: str | None) -> float:
    """Read `1%` or `0.01`."""
    if text is None:
        return 1.0
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise click.BadParameter(
            f"{text} is no share; expected `1%` or `0.01`, above 0 and up to 1", param_hint="--sample"
        )
    return value


if __name__ == "__main__":
    main()
