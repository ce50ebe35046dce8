"""The commands of `clv campaign`. Each imports what it needs, as in `commands.py`."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click

from clv_pipeline.cli.terminal import config_option, say


@click.group()
def campaign() -> None:
    """Start a campaign with a control group, list campaigns with what they added, or remove one."""


@campaign.command("start")
@click.argument("name")
@click.option("--segment", help="Only customers of this segment.")
@click.option("--at-risk", is_flag=True, help="Only customers at risk, those with the most at stake first.")
@click.option("--top", type=int, metavar="N", help="Only the first N customers: of the highest clv, or --at-risk.")
@click.option("--budget", type=float, metavar="AMOUNT", help="Only as many contacts, the first ones, as it pays.")
@click.option("--holdout", type=float, default=0.1, show_default=True, help="The share that is left out by lot.")
@click.option(
    "--horizon", type=int, metavar="DAYS", help="The days after the start that count; the published horizon nearest 90."
)
@click.option("--on", "started_on", type=click.DateTime(["%Y-%m-%d"]), help="The day of the contact; by default today.")
@click.option("--cost-per-contact", type=float, metavar="AMOUNT", help="By default campaign.cost_per_contact.")
@click.option(
    "--assumed-uplift",
    type=float,
    metavar="SHARE",
    help="The uplift to find, such as 0.05; by default campaign.assumed_uplift, else 0.1.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another one draws other customers.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="For the lists; by default NAME.")
@config_option
def start_campaign(
    config: Path | None,
    name: str,
    segment: str | None,
    at_risk: bool,
    top: int | None,
    budget: float | None,
    holdout: float,
    horizon: int | None,
    started_on: datetime | None,
    cost_per_contact: float | None,
    assumed_uplift: float | None,
    seed: int,
    out: Path | None,
) -> None:
    """Start the campaign NAME: draw a control group, write audience.csv and control.csv, and measure from then on.

    Customers are those of --segment, those --at-risk, the --top N, or as many as --budget pays, as they are published;
    options may be combined.
    """
    from zoneinfo import ZoneInfo

    from clv_pipeline.cli.campaign_text import started_lines
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.publication.campaign import TABLES, start
    from clv_pipeline.publication.campaign_request import Request

    settings = Settings.load(config)
    pipeline = Pipeline.of(settings)
    today = datetime.now(ZoneInfo(settings.schedule.timezone)).date()
    request = Request(
        name=name,
        started_on=today if started_on is None else started_on.date(),
        folder=Path(name) if out is None else out,
        segment=segment,
        at_risk=at_risk,
        top=top,
        budget=_money(budget),
        holdout=holdout,
        horizon_days=horizon,
        cost_per_contact=_money(cost_per_contact),
        assumed_uplift=assumed_uplift,
        seed=seed,
    )
    contracts = [pipeline.contract(table) for table in TABLES]
    started = start(settings, pipeline.warehouse, contracts, pipeline.recipe_of(TABLES[0]), request)
    say("\n".join(started_lines(started)))


@campaign.command("list")
@config_option
def list_campaigns(config: Path | None) -> None:
    """List all campaigns, the last one first, with what the last run measured."""
    from clv_pipeline.cli.campaign_text import campaign_lines
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.publication.campaign import listed

    settings = Settings.load(config)
    say("\n".join(campaign_lines(listed(settings, Pipeline.of(settings).warehouse))))


@campaign.command("remove")
@click.argument("name")
@config_option
def remove_campaign(config: Path | None, name: str) -> None:
    """Forget that the campaign NAME was started, so that nothing is measured or learned of it. Its lists stay."""
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.publication.campaign import TABLES, remove

    settings = Settings.load(config)
    pipeline = Pipeline.of(settings)
    contracts = [pipeline.contract(table) for table in TABLES]
    customers = remove(pipeline.warehouse, settings, contracts, pipeline.recipe_of(TABLES[0]), name)
    say(f"removed {name} with its {customers:,} customers; the next run measures without it")


def _money(amount: float | None) -> Decimal | None:
    """An amount as it was typed."""
    return None if amount is None else Decimal(str(amount))
