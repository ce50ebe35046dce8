"""`clv campaign`: campaigns with a control group, remembered by the warehouse: started, listed and removed.

Who was in one is kept in the warehouse under the ids of the source, where later purchases arrive, and from where
`clv forget` erases. Whom to contact is drawn from the publication (`campaign_draw`).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts import Contract
from clv_pipeline.errors import CampaignError, ExportError, did_you_mean
from clv_pipeline.privacy.register import Register
from clv_pipeline.publication.campaign_draw import Drawn, draw_from_publication
from clv_pipeline.publication.campaign_request import Request, check
from clv_pipeline.warehouse import Admission, Session, Warehouse, admit, storage_faults_told

if TYPE_CHECKING:
    import polars as pl

CAMPAIGNS, MEMBERS = "campaigns", "campaign_members"
TABLES = (CAMPAIGNS, MEMBERS)
"""The tables that are written, in the order of the contracts that the functions here are given."""

READS = ("campaign_settings",)
"""What these tables are recorded as built from: something that rarely changes, so that runs see that they may stay."""

ASSUMED_UPLIFT = 0.1
"""The uplift that sizes are told for where none is assumed."""


@dataclass(frozen=True)
class Overlap:
    """Customers who are in another campaign, too, whose horizon is not over on the day of the start."""

    campaign: str
    ends_on: date
    customers: int
    controls: int
    """Those of them whom the other campaign leaves out."""


@dataclass(frozen=True)
class Started:
    """A campaign that is recorded, and whose lists are written."""

    name: str
    started_on: date
    horizon_days: int
    contacts: int
    controls: int
    cost: Decimal | None
    assumed_uplift: float
    detectable_uplift: float | None
    """The uplift that is found with a probability of 80 % at the end; None where nothing is expected of anybody."""
    customers_needed: int | None
    """Customers with whom the assumed uplift would be."""
    overlaps: tuple[Overlap, ...]
    guarded: int
    """Customers with a text that was made harmless in the lists."""
    pseudonyms: bool
    folder: Path


def start(
    settings: Settings, warehouse: Warehouse, contracts: Sequence[Contract], recipe: str, request: Request
) -> Started:
    """Draw a campaign, record it, and write its lists.

    The lists get their name once the campaign is recorded, so that nobody is contacted for one that is not.

    Args:
        settings: say where the publication is, and what is assumed.
        warehouse: the warehouse of these settings.
        contracts: those of TABLES.
        recipe: today's recipe of TABLES.
        request: what is asked.

    Raises:
        CampaignError: the campaign cannot be, as the text says. Nothing was recorded.
        ExportError: a name is unknown, or the lists cannot be written. Nothing was recorded.
        PublicationError: what is served cannot be read.
        WarehouseBusyError: a run is going on; it is named.
        StorageError: the warehouse is damaged or the disk is full.
    """
    check(request)
    try:
        # A folder for its owner alone, and the only one that the publication's database may write to.
        with (
            tempfile.TemporaryDirectory(prefix=".clv-campaign-", dir=request.folder.resolve().parent) as beside,
            _opened(settings, warehouse, f"clv campaign start {request.name}") as session,
        ):
            lists = Path(beside) / "lists"
            lists.mkdir(mode=0o700)
            started = _record(settings, session, contracts, recipe, request, lists)
            _put_in_place(lists, request)
    except OSError as error:
        raise ExportError(
            f"{request.folder} cannot be written: {error.strerror}",
            to_do="free some space, or name another place with --out",
        ) from error
    return started


def _put_in_place(lists: Path, request: Request) -> None:
    """Give the lists their name.

    Raises:
        ExportError: they cannot have it, and the campaign is recorded already.
    """
    try:
        lists.rename(request.folder)
    except OSError as error:
        raise ExportError(
            f"{request.folder} cannot be written: {error.strerror}, and the campaign is recorded",
            to_do=f"`clv campaign remove {request.name}`, then start it with another --out",
        ) from error


def remove(warehouse: Warehouse, settings: Settings, contracts: Sequence[Contract], recipe: str, name: str) -> int:
    """Forget a campaign, as if it had never started. Returns how many customers were in it.

    Args:
        warehouse: the warehouse of these settings.
        settings: say whether an erasure is unfinished.
        contracts: those of TABLES.
        recipe: today's recipe of TABLES.
        name: of the campaign.

    Raises:
        CampaignError: there is no such campaign.
        WarehouseBusyError: a run is going on; it is named.
        StorageError: the warehouse is damaged or the disk is full.
    """
    import polars as pl

    with _opened(settings, warehouse, f"clv campaign remove {name}") as session:
        campaigns, members = (_rows(session, contract) for contract in contracts)
        known = campaigns["campaign"].to_list()
        if name not in known:
            raise CampaignError(
                f"no campaign {name!r} has started{did_you_mean(name, known)}",
                to_do=f"campaigns are {', '.join(known) or 'none yet'}",
            )
        others = [frame.filter(pl.col("campaign") != name) for frame in (campaigns, members)]

        def stage(staging: Session) -> None:
            for contract, frame in zip(contracts, others, strict=True):
                staging.stage_frame(contract, frame)

        _admit(session, contracts, stage, recipe)
        return members.height - others[1].height


@dataclass(frozen=True)
class Listed:
    """A campaign as it is listed."""

    name: str
    started_on: date
    horizon_days: int
    contacts: int
    controls: int
    verdict: str | None
    """None until a run has measured it."""


def listed(settings: Settings, warehouse: Warehouse) -> list[Listed]:
    """All campaigns, the last one first, with the verdict of the last run.

    Raises:
        WarehouseBusyError: a run is going on; it is named.
        StorageError: the warehouse is damaged.
    """
    with _opened(settings, warehouse, "clv campaign list") as session:
        if not session.has_table(CAMPAIGNS):
            return []
        verdicts = (
            "(select campaign, verdict from campaign_results where is_stated)"
            if session.has_table("campaign_results")
            else "(select null as campaign, null as verdict where false)"
        )
        return [
            Listed(*row)
            for row in session.ask(
                "select c.campaign, c.started_on, c.horizon_days, c.drawn_contacts, c.drawn_controls, r.verdict"  # noqa: S608
                f" from campaigns as c left join {verdicts} as r using (campaign)"
                " order by c.started_on desc, c.campaign"
            )
        ]


@contextmanager
def _opened(settings: Settings, warehouse: Warehouse, holder: str) -> Iterator[Session]:
    """The open warehouse.

    Raises:
        CampaignError: nothing was loaded yet.
    """
    if not settings.warehouse_path.exists():
        raise CampaignError(
            f"{settings.warehouse_path} does not exist: nothing was loaded yet", to_do="`clv run` loads"
        )
    try:
        with storage_faults_told(settings.warehouse_path):
            yield warehouse.open(holder)
    finally:
        warehouse.close()


def _record(
    settings: Settings, session: Session, contracts: Sequence[Contract], recipe: str, request: Request, lists: Path
) -> Started:
    """Draw the campaign, write its lists into a folder, and put it into the tables.

    Raises:
        CampaignError: somebody may be drawn who is to be forgotten, or the name is taken.
    """
    import polars as pl

    from clv_pipeline.campaigns.results import planned

    if Register(settings.privacy_dir).unfinished():
        raise CampaignError(
            "an erasure is unfinished: somebody may be drawn who is to be forgotten",
            to_do="`clv run` finishes it, and says what hinders it",
        )
    campaigns, members = (_rows(session, contract) for contract in contracts)
    if request.name in campaigns["campaign"].to_list():
        raise CampaignError(f"a campaign {request.name!r} has started already", to_do="choose another name")
    cost, assumed = _assumptions(settings, request)
    drawn = draw_from_publication(settings, request, cost, lists)
    campaign = _campaign(request, drawn, cost, assumed)
    new_members = _under_source_ids(session, drawn).select(
        pl.lit(request.name).alias("campaign"),
        *("customer_id", "is_control", "stratum", "segment", "expected_purchases", "expected_margin"),
        expected_deviation=_deviation(settings),
    )

    def stage(staging: Session) -> None:
        for contract, kept, new in zip(contracts, (campaigns, members), (campaign, new_members), strict=True):
            staging.stage_frame(contract, pl.concat([kept, new.cast(dict(kept.schema))]))  # type: ignore[arg-type]

    size = planned(new_members, assumed, has_money=settings.source.transactions.has_money)
    overlaps = tuple(_overlaps(campaigns, members, new_members, request.started_on))
    _admit(session, contracts, stage, recipe)
    return Started(
        name=request.name,
        started_on=request.started_on,
        horizon_days=drawn.horizon_days,
        contacts=drawn.contacts,
        controls=drawn.controls,
        cost=None if cost is None else cost * drawn.contacts,
        assumed_uplift=assumed,
        detectable_uplift=size.detectable_uplift,
        customers_needed=size.customers_needed,
        overlaps=overlaps,
        guarded=drawn.guarded,
        pseudonyms=drawn.pseudonyms is not None,
        folder=request.folder,
    )


def _campaign(request: Request, drawn: Drawn, cost: Decimal | None, assumed: float) -> pl.DataFrame:
    """The row of `campaigns`."""
    import polars as pl

    return pl.DataFrame(
        {
            "campaign": [request.name],
            "started_on": [request.started_on],
            "horizon_days": [drawn.horizon_days],
            "holdout": [request.holdout],
            "seed": [request.seed],
            "asked_segment": [request.segment],
            "asked_at_risk": [request.at_risk],
            "asked_top": [request.top],
            "asked_budget": [request.budget],
            "cost_per_contact": [cost],
            "assumed_uplift": [assumed],
            "drawn_from": [drawn.version],
            "as_of": [drawn.as_of],
            "drawn_contacts": [drawn.contacts],
            "drawn_controls": [drawn.controls],
            "lists_folder": [str(request.folder.resolve())],
        }
    )


def _assumptions(settings: Settings, request: Request) -> tuple[Decimal | None, float]:
    """The cost of a contact, None where it is unknown, and the assumed uplift.

    Raises:
        CampaignError: there is a budget, and the cost is unknown.
    """
    planned = settings.campaign
    cost = request.cost_per_contact
    if cost is None and planned is not None:
        cost = Decimal(str(planned.cost_per_contact))
    if request.budget is not None and cost is None:
        raise CampaignError(
            "--budget: how many contacts it pays is unknown",
            to_do="say what one costs with --cost-per-contact, or with `campaign:` in clv.yaml",
        )
    assumed = request.assumed_uplift
    if assumed is None:
        assumed = ASSUMED_UPLIFT if planned is None else planned.assumed_uplift
    return cost, assumed


def _under_source_ids(session: Session, drawn: Drawn) -> pl.DataFrame:
    """The drawn customers with the ids that the warehouse knows them by.

    Raises:
        CampaignError: some of them are not in the warehouse any more.
    """
    import polars as pl

    published_as, parameters = "customer_id", {}
    if drawn.pseudonyms is not None:
        published_as, parameters = drawn.pseudonyms.expression("customer_id"), drawn.pseudonyms.parameters
    # An earlier version kept no margins: then there is only that of the settings.
    margin, joined = "cast(null as double)", ""
    if session.has_table("customer_margins") and session.has_table("shop_margin"):
        margin = "coalesce(m.margin, s.margin)"
        joined = "cross join shop_margin as s left join customer_margins as m on rfm.customer_id = m.customer_id"
    with session.brought(f"select rfm.customer_id, {margin} as margin from rfm {joined}") as rows:  # noqa: S608
        ids: pl.DataFrame = session.connection.sql(
            f"select customer_id as source_id, {published_as} as customer_id, margin from {rows} as ids",  # noqa: S608
            params=parameters,
        ).pl()
    known = drawn.customers.join(ids, on="customer_id")
    if missing := drawn.customers.height - known.height:
        raise CampaignError(
            f"{missing:,} of the published customers are not in the warehouse any more",
            to_do="`clv run` publishes anew",
        )
    return known.with_columns(customer_id=pl.col("source_id"))


def _deviation(settings: Settings) -> pl.Expr:
    """The standard deviation of what is measured: of margin, or of purchases, which are counts, without money."""
    import polars as pl

    if settings.source.transactions.has_money:
        return pl.col("spend_deviation") * pl.coalesce("margin", pl.lit(settings.forecast.margin))
    return pl.col("expected_purchases").sqrt()


def _overlaps(campaigns: pl.DataFrame, members: pl.DataFrame, new: pl.DataFrame, started_on: date) -> Iterator[Overlap]:
    """The running campaigns that share customers with the new one."""
    shared = members.join(new.select("customer_id"), on="customer_id", how="semi")
    for row in campaigns.sort("campaign").iter_rows(named=True):
        ends_on = row["started_on"] + timedelta(days=row["horizon_days"])
        theirs = shared.filter(campaign=row["campaign"])
        if ends_on >= started_on and theirs.height:
            yield Overlap(row["campaign"], ends_on, theirs.height, int(theirs["is_control"].sum()))


def _rows(session: Session, contract: Contract) -> pl.DataFrame:
    """The live rows of a table, with the columns of its contract; none where there is no such table yet."""
    from clv_pipeline.warehouse.predecessors import kept_rows

    return session.read(kept_rows(session, contract))


def _admit(session: Session, contracts: Sequence[Contract], stage: Callable[[Session], None], recipe: str) -> Admission:
    """Put the staged tables in place of the live ones.

    Raises:
        CampaignError: they do not keep the promises of their contracts.
    """
    run_id = str(uuid.uuid4())
    admission = admit(session, contracts, stage, reads=READS, run_id=run_id, recipe=recipe)
    if not admission.admitted:
        told = "; ".join(map(str, admission.failures))
        raise CampaignError("the campaign is not recorded, because its tables did not pass the audit", quoted=told)
    return admission
