"""Options of a run in the launchpad: what to read or build although it has not changed."""

import dagster as dg
from pydantic import Field

from clv_pipeline.errors import RequestError
from clv_pipeline.orchestration.failures import failure
from clv_pipeline.pipeline import Refresh


class RefreshOptions(dg.ConfigurableResource[None]):
    """Under `resources: refresh: config:` in the launchpad; the defaults are the nightly run."""

    full_refresh: bool = Field(default=False, description="Read every source file again and build every table whole.")
    days: str = Field(
        default="",
        description="Read again what holds transactions of these days and build them again, such as"
        " 2011-02-01..2011-02-28.",
    )

    @classmethod
    def asking(cls, refresh: Refresh) -> "RefreshOptions":
        """The options that request this."""
        days = "..".join(day.isoformat() for day in refresh.days or ())
        return cls(full_refresh=refresh.full, days=days)

    def asked(self) -> Refresh:
        """The request in the form that steps take.

        Raises:
            dagster.Failure: `days` is not a range of days.
        """  # noqa: DOC501  (`failure` makes the error)
        try:
            return Refresh.of(self.full_refresh, self.days)
        except RequestError as error:
            raise failure(RequestError(f"resources.refresh.config.{error.what}")) from error
