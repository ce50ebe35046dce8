"""The `clv` command. Each subcommand imports what it needs, so that `clv --help` is instant.

A command only talks to the terminal; its work is in the package of its subject. Those of campaigns are in
`campaign_commands.py`.
"""

import shlex
from functools import partial
from pathlib import Path

import click

from clv_pipeline.cli.campaign_commands import campaign
from clv_pipeline.cli.terminal import ClvGroup, config_option, json_option, note, say, stop


@click.group(cls=ClvGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clv_pipeline", prog_name="clv")
def main() -> None:
    """Customer lifetime value from your own transactions."""


main.add_command(campaign)


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("clv.yaml"), show_default=True)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--table", metavar="NAME", help="Of a database: the table or view that holds the transactions.")
def init(files: tuple[str, ...], output: Path, force: bool, table: str | None) -> None:
    """Look at FILE… (or a quoted glob, a folder, a database) and write a clv.yaml with a guessed mapping to correct."""
    from clv_pipeline.cli.config_text import config_text
    from clv_pipeline.sources.database_tables import database_url, propose_from_database
    from clv_pipeline.sources.guess import propose

    if output.exists() and not force:
        stop(f"{output} exists; --force overwrites it")
    folder = output.resolve().parent
    # Paths in the file are relative to the file.
    paths = [_from_folder(file, folder) for file in files]
    urls = [url for path in paths if (url := database_url(path, folder)) is not None]
    if urls and len(paths) > 1:
        stop("a database is given alone, without another one or files beside it")
    url = urls[0] if urls else None
    if url is not None:
        chosen = propose_from_database(url, table, folder)
        proposal = chosen.proposal
        if chosen.others:
            say(f"took {chosen.table}: no other table has customer, date and amount ({', '.join(chosen.others)})")
    elif table is not None:
        stop("--table goes with one database: its file, or its URL")
    else:
        proposal = propose(paths, folder)
    try:
        output.write_text(config_text(proposal, folder), encoding="utf-8")
    except OSError as error:
        stop(f"{output} cannot be written: {error.strerror}")
    say(f"wrote {output}")
    for key, source in proposal.sources.items():
        say(f"{key}{f' ({source.about})' if source.about else ''}: {source.query or ', '.join(source.paths)}")
        for ours, theirs in source.mapping.items():
            say(f"  {ours:<12} {theirs}")
        if source.further:
            say(f"  not mapped: {', '.join(source.further)}")
    if proposal.left_out:
        say(f"not used: {', '.join(proposal.left_out)}")
    for entry in proposal.questions:
        say(f"{entry.key}: {entry.value}")
    if proposal.questions:
        say(f"next: answer what begins with ? in {output}, then run `clv check`")
    else:
        say("next: look over the mapping, then run `clv check`")


def _from_folder(file: str, folder: Path) -> str:
    if file.startswith("lifetimes:") or "://" in file:
        return file
    path = Path.cwd() / Path(file).expanduser()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--customers", type=click.IntRange(min=100), default=3_000, show_default=True, help="How many there are.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed, the same shop.")
def demo(folder: Path, customers: int, seed: int) -> None:
    """Write a made-up shop with every input and its clv.yaml into FOLDER, to see every page of the report."""
    from clv_pipeline.simulation.demo import write_demo

    config = write_demo(folder, customers=customers, seed=seed)
    say(f"wrote a made-up shop of {customers:,} customers: nothing in {folder} is real")
    say(f"next: clv run --config {shlex.quote(str(config))}")


@main.command()
@json_option
@config_option
def check(config: Path | None, json: bool) -> None:
    """Hold clv.yaml against its source as a run would: mapping, readable shares, files, days.

    The status is 1 if a run would stop.
    """  # noqa: DOC501  (the status is how a command ends)
    from clv_pipeline.cli.json_documents import as_json, check_document
    from clv_pipeline.cli.notices import notices
    from clv_pipeline.cli.survey_text import survey_text
    from clv_pipeline.cli.verdict_text import verdict_text
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.contracts.loader import load_models
    from clv_pipeline.forecasting.registry import check_models
    from clv_pipeline.orchestration.cron import check_schedule
    from clv_pipeline.orchestration.rehearsal import rehearse

    settings = Settings.load(config)
    check_models(settings.models, settings.extensions)
    load_models(extension=settings.extensions.sql_folder)
    check_schedule(settings)
    found = rehearse(settings)
    noted = notices(settings)
    if json:
        say(as_json(check_document(settings, noted, found)))
        raise SystemExit(int(found.stops))
    say(f"{settings.config_file or 'embedded default'}\n")
    note(noted)
    say(f"{survey_text(settings, found.survey)}\n")
    say(verdict_text(found))
    raise SystemExit(int(found.stops))


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
@json_option
@config_option
def run(
    config: Path | None, select: str | None, full_refresh: bool, days: str | None, wait_minutes: float, json: bool
) -> None:
    """Run the nightly job in this process; status 0 only if every table passed its audit."""
    from clv_pipeline.cli.json_documents import as_json, run_document
    from clv_pipeline.cli.notices import notices
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.orchestration.runner import run_nightly
    from clv_pipeline.pipeline import Refresh
    from clv_pipeline.publication.summary import publication_facts, publication_summary

    settings = Settings.load(config)
    note(notices(settings))
    outcome = run_nightly(
        settings,
        select=select,
        refresh=Refresh.of(full_refresh, days),
        wait_minutes=wait_minutes,
        echo=partial(say, err=json),
    )
    facts = publication_facts(settings) if outcome.published else None
    if json:
        say(as_json(run_document(outcome, facts)))
    if not outcome.success:
        stop(f"\nrun {outcome.run_id} failed; what is published is as it was. Mend the cause above and run again.")
    if facts:
        say("\n" + "\n".join(publication_summary(facts, settings.display.writer())), err=json)


@main.command()
@_wait
@json_option
@config_option
def audit(config: Path | None, wait_minutes: float, json: bool) -> None:
    """Hold every live table against its contract; status 0 only if no ERROR expectation fails."""
    from clv_pipeline.cli.json_documents import as_json, audit_document
    from clv_pipeline.cli.live_audit import audit_lines, audit_live_tables
    from clv_pipeline.config.settings import Settings

    echo = partial(say, err=json)
    audited = {}
    for table, results in audit_live_tables(Settings.load(config), wait_minutes=wait_minutes, tell=echo):
        audited[table] = results
        echo("\n".join(audit_lines(table, results)))
    if json:
        say(as_json(audit_document(audited)))
    failed = sum(result.blocks for results in audited.values() for result in results)
    if failed:
        stop(f"\n{failed} checks failed")


@main.command()
@click.option("--to", "version", metavar="VERSION", help="Point `published/current` back at this kept version.")
@json_option
@config_option
def publish(config: Path | None, version: str | None, json: bool) -> None:
    """List the kept versions, newest first; with --to, serve another one of them again."""
    from clv_pipeline.cli.json_documents import as_json, publish_document
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.summary import listed_versions, serve_version, version_lines

    settings = Settings.load(config)
    if version is not None:
        serve_version(settings, version)
    versions = listed_versions(settings)
    say(as_json(publish_document(versions)) if json else "\n".join(version_lines(settings, versions)))


@main.command("open")
@click.argument("page", type=click.Choice(["report", "explore"]))
@config_option
def open_page(config: Path | None, page: str) -> None:
    """Open the published report, or the page to explore customers, in the browser."""
    import webbrowser

    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.pages import served_page

    path = served_page(Settings.load(config), page)
    say(str(path))
    if not webbrowser.open(path.as_uri()):
        stop("no browser could be started; open the file above in one")


@main.command()
@click.argument("customer_id")
@click.option("--horizon", type=int, help="In days; by default the longest one.")
@config_option
def explain(config: Path | None, customer_id: str, horizon: int | None) -> None:
    """Explain the published forecast of CUSTOMER_ID: its factors, its rank, and what moves it."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.explain import explain

    lines = explain(Settings.load(config), customer_id, horizon)
    say("\n".join(lines))


@main.command()
@click.argument("segment", required=False)
@click.option("--at-risk", is_flag=True, help="Only customers at risk, those with the most at stake first.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N, by clv or what is at stake.")
@click.option("--columns", metavar="NAME,…", help="What to write of each customer, in this order.")
@click.option("--horizon", type=int, help="Of the forecasts, in days; by default the longest one.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A .csv, .parquet or .xlsx file.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@config_option
def export(
    config: Path | None,
    segment: str | None,
    at_risk: bool,
    top: int | None,
    columns: str | None,
    horizon: int | None,
    out: Path,
    force: bool,
) -> None:
    """Write the published customers of SEGMENT, those --at-risk, or the --top N of them, as a list for other tools."""
    from clv_pipeline.cli.list_text import guarded_line, ids_line
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.publication.export import export

    if segment is None and top is None and not at_risk:
        stop("name a segment, or say --at-risk, or how many customers with --top N")
    named = None if columns is None else [name.strip() for name in columns.split(",")]
    done = export(
        Settings.load(config),
        out,
        segment=segment,
        at_risk=at_risk,
        top=top,
        columns=named,
        horizon_days=horizon,
        force=force,
    )
    of_whom = ("all segments" if segment is None else segment) + (" at risk" if at_risk else "")
    highest = "highest CLV" if done.has_money else "most expected purchases"
    if at_risk:
        highest = "most at stake" if done.has_money else "furthest below their own rate"
    say(f"{done.customers:,} customers of {of_whom}, {highest} ({done.audience.horizon_days} days) first")
    say(ids_line(done.pseudonyms))
    if done.currency is not None:
        say(f"money is in {done.currency}")
    if done.guarded:
        say(guarded_line(done.guarded))
    say(f"wrote {out}, which only you can read")


@main.command()
@click.argument("customer_ids", nargs=-1, required=True)
@config_option
def forget(config: Path | None, customer_ids: tuple[str, ...]) -> None:
    """Erase CUSTOMER_IDS from the warehouse and every kept publication, and refuse their rows from now on."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.privacy.erasure import NOT_ERASED, forget

    settings = Settings.load(config)
    erasure = forget(settings, Pipeline.of(settings).warehouse, customer_ids)
    for table, rows in erasure.rows.items():
        say(f"{table:<24}{rows:>12,} rows")
    replaced = f"{erasure.publications} publication{'' if erasure.publications == 1 else 's'}"
    say(f"{replaced} replaced; recorded as {erasure.run_id}")
    for line in (*erasure.told(), *NOT_ERASED):
        say(line)
