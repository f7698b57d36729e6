"""The commands of `revealed audit`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.options import root_option
from schemas.errors import RecipeError

if TYPE_CHECKING:
    from flows.audit.scoring import Scorer

METHODS = ("embedded", "perplexity", "judge")
_ROWS = {"embedded": 1024, "perplexity": 128, "judge": 128}
_NEGATIVES = {"embedded": None, "perplexity": 3, "judge": 1}


@click.group()
def audit() -> None:
    """Ask of a sample of a release whether what it claims is so."""


@audit.command()
@click.argument("release")
@root_option
@click.option("--sample", type=click.IntRange(1, 20_000), help="Rows; default: 1024, of models 128.")
@click.option("--batch", type=click.IntRange(min=2), help="Rows a batch; default: the release's windows.")
@click.option(
    "--negatives", type=click.IntRange(min=1), help="A row; default: all of its batch, perplexity 3, judge 1."
)
@click.option("--method", type=click.Choice(METHODS), default="embedded", show_default=True)
@click.option("--model", help="A folder of transformers' (perplexity); with --url, the served model's name.")
@click.option("--url", help="An OpenAI-compatible server: http://HOST:PORT/v1. Perplexity needs vLLM's.")
@click.option("--worst", type=click.IntRange(min=0), default=5, show_default=True, help="Pairs to read, of each kind.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one draws another sample.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def continuity(  # noqa: PLR0913 (click passes options by name)
    release: str,
    *,
    root: str,
    sample: int | None,
    batch: int | None,
    negatives: int | None,
    method: str,
    model: str | None,
    url: str | None,
    worst: int,
    seed: int,
    as_json: bool,
) -> None:
    """Check on a sample that the true suffixes of RELEASE are the continuations, and its negatives are not."""
    from flows.audit.continuity import Asked, audit_continuity  # noqa: PLC0415 (imported when a command runs)
    from flows.audit.pages import lay_out_continuity  # noqa: PLC0415
    from flows.pages import open_console  # noqa: PLC0415
    from warehouse.publication import find_release  # noqa: PLC0415
    from warehouse.root import open_root  # noqa: PLC0415

    place = open_root(root)
    asked = Asked(sample or _ROWS[method], batch, negatives or _NEGATIVES[method], seed, worst)
    report = audit_continuity(place, find_release(place, release), _choose_scorer(method, model, url), asked)
    if as_json:
        click.echo(report.model_dump_json(indent=1))
    else:
        open_console().print(lay_out_continuity(report))


def _choose_scorer(method: str, model: str | None, url: str | None) -> "Scorer":
    """Make the scorer that was asked for; raises RecipeError where the options do not go together."""
    from flows.audit.judges import ChatJudge, JudgeScorer  # noqa: PLC0415
    from flows.audit.language_models import ServedModel, open_folder  # noqa: PLC0415
    from flows.audit.perplexity import PerplexityScorer  # noqa: PLC0415
    from flows.audit.scoring import EmbeddedScorer  # noqa: PLC0415
    from flows.audit.servers import Server  # noqa: PLC0415

    if method == "embedded":
        if model or url:
            raise RecipeError("--model and --url are for `--method perplexity` and `judge`; `embedded` needs neither")
        return EmbeddedScorer()
    if url:
        server = Server(url)
        name = server.find_model(model)
        judging = method == "judge"
        return JudgeScorer(ChatJudge(server, name)) if judging else PerplexityScorer(ServedModel(server, name))
    if method == "judge":
        raise RecipeError("`--method judge` needs --url")
    if not model:
        raise RecipeError("`--method perplexity` needs --model FOLDER or --url")
    return PerplexityScorer(open_folder(Path(model)))
