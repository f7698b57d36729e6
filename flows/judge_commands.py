"""The commands of `revealed judge`."""

from pathlib import Path

import click

from flows.options import root_option


@click.group()
def judge() -> None:
    """See what judges were asked, and what came of it."""


@judge.command()
@root_option
@click.option("--recipe", type=click.Path(path_type=Path), help="Whose prices count for the model that it names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(root: str, *, recipe: Path | None, as_json: bool) -> None:
    """Say what the ledger holds: answers by rubric, model and state, tokens, tries, age, cost, and what went wrong."""
    from flows.judging.status import Prices, describe_ledger, lay_out_status  # noqa: PLC0415 (when a command runs)
    from flows.pages import open_console  # noqa: PLC0415
    from schemas.recipe import read_recipe  # noqa: PLC0415
    from warehouse.ledger import open_ledger  # noqa: PLC0415
    from warehouse.root import open_root  # noqa: PLC0415

    prices = None if recipe is None else Prices.of(read_recipe(recipe).judge)
    found = describe_ledger(open_ledger(open_root(root)), prices)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        open_console().print(lay_out_status(found))


@judge.command("eval")
@click.argument("release", required=False)
@root_option
@click.option("--ledger", is_flag=True, help="Evaluate every judge in the ledger instead of a release's.")
@click.option("--rubric", default="wildreward", show_default=True, help="With --ledger: by which they were asked.")
@click.option(
    "--gold",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="CSV: conversation_id, turn, and label or first and second.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --ledger a list of them.")
def evaluate(release: str | None, *, root: str, ledger: bool, rubric: str, gold: Path, as_json: bool) -> None:
    """Put what RELEASE's judge said of turns beside labels that others gave them: kappa, F1, calibration.

    Turns that the release does not hold, since they are neutral say, count as well. Default: the only release. With
    --ledger earlier versions of the rubric are judges too, where they have the same answers.
    """
    from flows.judging.evaluation import evaluate_ledger, evaluate_release  # noqa: PLC0415 (when a command runs)
    from flows.judging.pages import lay_out_evaluation  # noqa: PLC0415
    from flows.pages import open_console  # noqa: PLC0415
    from warehouse.root import open_root  # noqa: PLC0415

    if ledger and release:
        raise click.UsageError("either a RELEASE or --ledger")
    place = open_root(root)
    found = evaluate_ledger(place, rubric, gold) if ledger else (evaluate_release(place, release, gold),)
    if as_json:
        objects = [one.model_dump_json(indent=1) for one in found]
        click.echo(f"[{','.join(objects)}]" if ledger else objects[0])
    else:
        open_console().print(*(lay_out_evaluation(one) for one in found))


@judge.command()
@root_option
@click.option("--rubric", default="wildreward", show_default=True, help="By which they were asked, in any version.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def compare(root: str, *, rubric: str, as_json: bool) -> None:
    """Say how far the judges in the ledger agree with each other, on the turns that both answered; without gold.

    A model that was asked by two versions of a prompt is two judges, where both have the same answers.
    """
    from flows.judging.comparison import compare_judges  # noqa: PLC0415 (imported when a command runs)
    from flows.judging.pages import lay_out_comparison  # noqa: PLC0415
    from flows.pages import open_console  # noqa: PLC0415
    from warehouse.root import open_root  # noqa: PLC0415

    found = compare_judges(open_root(root), rubric)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        open_console().print(lay_out_comparison(found))


@judge.command()
@root_option
@click.option("--rubric", default="wildreward", show_default=True, help="Whose answers are learned.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the student.")
def distill(root: str, *, rubric: str, out: Path) -> None:
    """Train a small model on what the ledger's judge answered, and say what it would save in a cascade before it."""
    from rich.markdown import Markdown  # noqa: PLC0415 (imported when a command runs)

    from flows.judging.distillation import distill as make_student  # noqa: PLC0415
    from flows.judging.student_card import write_card  # noqa: PLC0415
    from flows.pages import open_console, show  # noqa: PLC0415
    from warehouse.root import open_root  # noqa: PLC0415

    found = make_student(open_root(root), rubric, out)
    console = open_console()
    console.print(Markdown(show(write_card(found)).plain))
    console.print(show(f"the student lies in {out}; a recipe names it: judge.cascade.student"), soft_wrap=True)


@judge.command()
@click.option("--model", metavar="PATH|NAME", help="A folder, or a Hugging Face name; default: the recipe's.")
@click.option("--recipe", type=click.Path(path_type=Path), help="Whose judge is served, under the name it has there.")
@click.option("--python", metavar="PATH", help="An interpreter that has vLLM. Also REVEALED_VLLM_PYTHON.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--dtype", help="Of the weights; `float32` where there is no GPU. Default: judge.serve's, else auto.")
@click.option("--max-model-len", metavar="TOKENS", help="Default: judge.serve's, else auto: what memory allows.")
@click.option("--tensor-parallel", type=click.IntRange(min=1), help="GPUs to share it. Default: judge.serve's, else 1.")
@click.option(
    "--gpu-memory",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Of each GPU's. Default: judge.serve's, else vLLM's.",
)
@click.option("--patience", type=click.FloatRange(min=1), default=900, show_default=True, help="Seconds to be healthy.")
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Default: a new temporary file.")
@click.argument("extra", nargs=-1, metavar="[-- VLLM ARGUMENTS]", type=click.UNPROCESSED)
def serve(  # noqa: PLR0913 (click passes options by name)
    *,
    model: str | None,
    recipe: Path | None,
    python: str | None,
    host: str,
    port: int,
    dtype: str | None,
    max_model_len: str | None,
    tensor_parallel: int | None,
    gpu_memory: float | None,
    patience: float,
    log: Path | None,
    extra: tuple[str, ...],
) -> None:
    """Serve a model by vLLM until Ctrl-C, and print the lines of a recipe that make it the judge."""
    from flows.judging.serving import Serving, choose_model, choose_settings, serve_until_told  # noqa: PLC0415

    given = {"dtype": dtype, "max_model_len": max_model_len, "tensor_parallel": tensor_parallel}
    serving = Serving(
        choose_model(model, recipe),
        python=python,
        host=host,
        port=port,
        patience=patience,
        extra=extra,
        **choose_settings(recipe, {**given, "gpu_memory": gpu_memory}),
    )
    serve_until_told(serving, log, click.echo)


@judge.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def train(folder: Path) -> None:
    """Train the embedded judge anew, from the seeds that are shipped, into FOLDER: the same model each time."""
    from flows.judging.training import train_judge  # noqa: PLC0415 (when a command runs)
    from flows.pages import open_console, show  # noqa: PLC0415

    manifest = train_judge(folder).manifest
    told = f"{manifest.name} lies in {folder}; its fingerprint is {manifest.sha256}"
    open_console().print(show(told), soft_wrap=True)
