"""The `clv` command. Each subcommand imports what it needs, so that `clv --help` is instant.

Here belongs talking to the terminal and nothing else; what a command does is in the package that it is about.
"""

from pathlib import Path
from typing import Any, NoReturn

import click

from clv_pipeline.errors import ClvError


class _Clv(click.Group):
    """The one place where errors that a user can mend are printed: their text, status 1, no traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ClvError as error:
            _stop(str(error))


@click.group(cls=_Clv, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clv_pipeline", prog_name="clv")
def main() -> None:
    """Customer lifetime value from your own transactions."""


_config = click.option("--config", type=click.Path(path_type=Path), help="Instead of CLV_CONFIG or ./clv.yaml.")


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("clv.yaml"), show_default=True)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(files: tuple[str, ...], output: Path, force: bool) -> None:
    """Look at FILE… (or a quoted glob) and write a clv.yaml with a guessed mapping, for you to correct."""
    from clv_pipeline.cli.config_text import config_text
    from clv_pipeline.sources.inspect import guess_mapping

    if output.exists() and not force:
        _stop(f"{output} exists; --force overwrites it")
    folder = output.resolve().parent
    # Paths in the file are relative to the file.
    paths = [_from_folder(file, folder) for file in files]
    guess = guess_mapping(paths, folder)
    output.write_text(config_text(paths, guess), encoding="utf-8")
    click.echo(f"wrote {output}")
    for ours, theirs in guess.columns.items():
        click.echo(f"  {ours:<12} {theirs}")
    for name in guess.unknown:
        click.echo(f"could not guess {name}: replace the placeholder in {output}")
    if guess.date_problem:
        click.echo(f"could not guess the date format: {guess.date_problem}")
    if guess.further:
        click.echo(f"not mapped: {', '.join(guess.further)}")
    click.echo("next: correct the mapping, then run `clv check`")


def _from_folder(file: str, folder: Path) -> str:
    if file.startswith("lifetimes:"):
        return file
    path = Path.cwd() / Path(file).expanduser()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


@main.command()
@_config
def check(config: Path | None) -> None:
    """Hold clv.yaml against its source: mapping, readable shares, dates, what is likely to be refused."""
    from clv_pipeline.cli.config_text import survey_text
    from clv_pipeline.cli.notices import notices
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.forecasting.registry import check_models
    from clv_pipeline.sources.inspect import survey

    settings = Settings.load(config)
    check_models(settings.models, settings.extensions)
    found = survey(settings.source, settings.base_dir)
    click.echo(f"{settings.config_file or 'embedded default'}\n")
    _note(notices(settings))
    click.echo(survey_text(settings, found))


_wait = click.option(
    "--wait",
    "wait_minutes",
    type=click.FloatRange(min=0),
    default=0,
    metavar="MINUTES",
    help="While another run works on the warehouse, wait for it; by default this one is refused.",
)


@main.command()
@click.option("--select", help="Tables in Dagster's selection syntax, such as 'rfm+'; by default what is due.")
@click.option("--full-refresh", is_flag=True, help="Read and build everything again, the model review included.")
@click.option("--days", metavar="FIRST..LAST", help="Read and build these days again, such as 2011-02-01..2011-02-28.")
@_wait
@_config
def run(config: Path | None, select: str | None, full_refresh: bool, days: str | None, wait_minutes: float) -> None:
    """Run the nightly job in this process; status 0 only if every table passed its audit."""
    from clv_pipeline.cli.notices import notices
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.orchestration.runner import run_nightly
    from clv_pipeline.pipeline import Refresh
    from clv_pipeline.publication.summary import publication_summary

    settings = Settings.load(config)
    _note(notices(settings))
    outcome = run_nightly(
        settings,
        select=select,
        refresh=Refresh.of(full_refresh, days),
        wait_minutes=wait_minutes,
        echo=click.echo,
    )
    if not outcome.success:
        _stop(f"\nrun {outcome.run_id} failed; what is published is as it was. Mend the cause above and run again.")
    if outcome.published:
        click.echo("\n" + "\n".join(publication_summary(settings)))


@main.command()
@_wait
@_config
def audit(config: Path | None, wait_minutes: float) -> None:
    """Hold every live table against its contract; status 0 only if no ERROR expectation fails."""
    from clv_pipeline.cli.live_audit import audit_live_tables
    from clv_pipeline.config.settings import Settings

    failed = audit_live_tables(Settings.load(config), wait_minutes=wait_minutes, echo=click.echo)
    if failed:
        _stop(f"\n{failed} checks failed")


@main.command()
@click.option("--to", "version", metavar="VERSION", help="Point `published/current` back at this kept version.")
@_config
def publish(config: Path | None, version: str | None) -> None:
    """List the kept versions, newest first; with --to, serve another one of them again."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.summary import serve_version, version_lines

    settings = Settings.load(config)
    if version is not None:
        serve_version(settings, version)
    click.echo("\n".join(version_lines(settings)))


@main.command()
@click.argument("customer_id")
@click.option("--horizon", type=int, help="In days; by default the longest one.")
@_config
def explain(config: Path | None, customer_id: str, horizon: int | None) -> None:
    """Explain the published forecast of CUSTOMER_ID: its factors, its rank, and what moves it."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.explain import explain

    lines = explain(Settings.load(config), customer_id, horizon)
    click.echo("\n".join(lines))


@main.command()
@click.argument("segment", required=False)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N customers with the highest clv.")
@click.option("--columns", metavar="NAME,…", help="What to write of each customer, in this order.")
@click.option("--horizon", type=int, help="Of the forecasts, in days; by default the longest one.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A file that ends in .csv or .parquet.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@_config
def export(
    config: Path | None,
    segment: str | None,
    top: int | None,
    columns: str | None,
    horizon: int | None,
    out: Path,
    force: bool,
) -> None:
    """Write the published customers of SEGMENT, or the --top N of all or of it, as a list for other tools."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.export import DEFAULT_COLUMNS, export

    if segment is None and top is None:
        _stop("name a segment, or say how many customers with --top N")
    named = DEFAULT_COLUMNS if columns is None else [name.strip() for name in columns.split(",")]
    done = export(
        Settings.load(config), out, segment=segment, top=top, columns=named, horizon_days=horizon, force=force
    )
    of_whom = "all segments" if segment is None else segment
    click.echo(f"{done.customers:,} customers of {of_whom}, highest CLV ({done.audience.horizon_days} days) first")
    click.echo(f"customer_id is {'a pseudonym' if done.pseudonyms else 'the id of the source'}, as published")
    if done.guarded:
        click.echo(
            f"{done.guarded:,} of them have a text that could be taken for a formula: an apostrophe is put into it"
        )
    click.echo(f"wrote {out}, which only you can read")


@main.command()
@click.argument("customer_ids", nargs=-1, required=True)
@_config
def forget(config: Path | None, customer_ids: tuple[str, ...]) -> None:
    """Erase CUSTOMER_IDS from the warehouse and every kept publication, and refuse their rows from now on."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.privacy.erasure import NOT_ERASED, forget

    settings = Settings.load(config)
    erasure = forget(settings, Pipeline.of(settings).warehouse, customer_ids)
    for table, rows in erasure.rows.items():
        click.echo(f"{table:<24}{rows:>12,} rows")
    click.echo(f"{erasure.publications} publications replaced; recorded as {erasure.run_id}")
    for requested_at in erasure.unfinished:
        click.echo(f"the erasure requested at {requested_at} was stopped; run clv forget again with its customers")
    for line in NOT_ERASED:
        click.echo(line)


def _note(lines: list[str]) -> None:
    """What is worth knowing before the work begins, on standard error."""
    for line in lines:
        click.echo(f"note: {line}", err=True)


def _stop(message: str) -> NoReturn:
    """Ends the command with a message on standard error and status 1, without a traceback."""
    click.echo(message, err=True)
    raise SystemExit(1)
