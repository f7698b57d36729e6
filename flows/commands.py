"""What the commands do, once their arguments are read. What they print is laid out in pages and summaries."""

import re
import sys

import click
from rich.console import Console

from flows.engine import Engine
from flows.executors import SerialExecutor
from flows.jobs import Job, run_job
from flows.settings import prefect_is_configured
from schemas.errors import FatalError
from schemas.recipe import read_recipe
from warehouse.root import open_root

_ERR = Console(stderr=True)
_UID = re.compile("[0-9a-fA-F]{1,32}")


def build_recipe(job: Job, *, use_prefect: bool) -> None:
    """Build, as a Prefect flow where one is asked for or configured, and print the closing summary."""
    from flows.summary import print_summary

    if use_prefect or prefect_is_configured():
        from flows.deployments import build_as_flow

        manifests, engine = build_as_flow(job), None
    else:
        manifests, engine = run_job(job)
    print_summary(manifests, open_root(job.root), engine)


def explain_plan(job: Job) -> None:
    """Print what a build would do. Writes nothing; on a warehouse that has something, inputs are read to be hashed."""
    from flows.entries import resolve_entries
    from flows.ingest import slice_works
    from flows.pages import lay_out_entries, open_console, show
    from flows.plan import Plan
    from flows.presentations import find_views
    from flows.work import find
    from schemas.inputs import Route
    from warehouse.layouts import LAYOUTS

    recipe = read_recipe(job.recipe)
    views = find_views(recipe)
    root = open_root(job.root)
    known = root if root.exists("stages") else None  # where nothing is made, no hash can be found made
    plan = Plan(recipe, root, Engine(SerialExecutor()), job.sample)
    entries = resolve_entries(recipe, job.recipe.parent, known, remember=False)
    rows = []
    for entry in entries:
        tables = dict.fromkeys(piece.table for piece in entry.slices)
        works = [work for table in tables for work in slice_works(plan, entry, table)]
        made = sum(find(work) is not None for work in works) if known else 0
        rows.append((entry, works[0].shape.buckets, made))
    console = open_console()
    console.print(lay_out_entries(rows))
    shares = ", ".join(f"{name} {share:.0%}" for name, share in recipe.splits.shares().items())
    routes = sorted({entry.source.route for entry in entries}, key=list(Route).index)
    for route in routes:
        name = recipe.release_name(job.sample, route if len(routes) > 1 else None)
        taken = f"the view {views[route].name} ({views[route].summary})" if route in views else LAYOUTS[route].rows
        console.print(show(f"would publish {root.locate(f'releases/{name}')}"), soft_wrap=True)
        console.print(show(f"with {taken}, in the configs {', '.join(LAYOUTS[route].configs)}"), soft_wrap=True)
    for line in (f"and the splits {shares}", "nothing was written"):
        console.print(show(line), soft_wrap=True)


def list_names(what: str) -> None:
    """Print what a recipe can name: `sources`, `views` or `benchmarks`."""
    from flows.pages import lay_out_presets, lay_out_sources, lay_out_views, open_console
    from miners.chats.mining import views as chats
    from miners.forums.mining import views as forums
    from miners.registry import list_sources
    from schemas.inputs import Route
    from warehouse.decontamination.benchmarks import PRESETS

    if what == "views":
        page = lay_out_views({Route.FORUMS: forums.VIEWS.values(), Route.CHATS: chats.VIEWS.values()})
    elif what == "benchmarks":
        page = lay_out_presets(PRESETS)
    else:
        page = lay_out_sources(list_sources().values())
    open_console().print(page)


def show_statistics(root: str, release: str | None, *, as_json: bool) -> None:
    """Print what is in the latest build of a release: as tables, or as one JSON object."""
    from flows.pages import open_console
    from flows.presentations import presentation_of
    from warehouse.publication import find_release

    place = open_root(root)
    manifest = find_release(place, release)
    presentation = presentation_of(manifest)
    statistics = presentation.describe(place, manifest)
    if as_json:
        click.echo(statistics.model_dump_json(indent=1))
    else:
        open_console().print(presentation.lay_out_statistics(statistics, manifest))


def show_row(root: str, release: str | None, uid: str) -> None:
    """Print one row, or the dropped rows that go by this reference; raises FatalError where there is neither."""
    from flows.pages import lay_out_drops, open_console
    from flows.presentations import presentation_of
    from warehouse.inspection import find_dropped, find_row, read_row
    from warehouse.publication import find_release
    from warehouse.shards import canonical_shards

    place = open_root(root)
    manifest = find_release(place, release)
    row = find_row(place, manifest, uid) if _UID.fullmatch(uid) else None
    drops = [] if row else find_dropped(place, manifest, uid)
    if row is None and not drops:
        example = read_row(place, manifest, canonical_shards(manifest)[0], 0).values["uid"]
        raise FatalError(
            f"`{uid}` is neither a row of {manifest.name} ({manifest.build}) nor one of its dropped rows; expected the "
            f"first digits of a uid, such as {example}, or the reference of a dropped row. Of many rows dropped for "
            "one reason, those beyond the recipe's `limits.kept_drops` were counted but not kept"
        )
    open_console().print(presentation_of(manifest).lay_out_row(row) if row else lay_out_drops(drops))


def verify_warehouse(root: str, release: str | None) -> None:
    """Check a warehouse and print what is wrong with it; exits with code 1 where something is."""
    from flows.pages import lay_out_report, open_console
    from warehouse import verification

    report = verification.verify_warehouse(open_root(root), release)
    open_console().print(lay_out_report(report), soft_wrap=True)
    if report.problems:
        sys.exit(1)


def collect(root: str, *, dry_run: bool) -> None:
    """Remove what no published build needs, and say how much that was."""
    from warehouse.garbage import collect_garbage

    gone = collect_garbage(open_root(root), dry_run=dry_run)
    done = "would remove" if dry_run else "removed"
    click.echo(f"{done} {gone.files:,} files of {gone.bytes / 2**20:,.1f} MiB that no snapshot reaches")
