"""Which driver reads a database, and what to install for it.

A driver is a Python package that SQLAlchemy finds by the URL. Here belongs the choice of an installed one, and the
error that names the package that is missing. Nothing here opens a database.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.errors import first_line

if TYPE_CHECKING:
    import sqlalchemy


@dataclass(frozen=True)
class Driver:
    """One driver of a database."""

    name: str
    """What stands behind the + of a URL, as in `postgresql+psycopg`; '' where SQLAlchemy knows no other."""
    module: str
    """The top-level module that Python imports."""
    packages: str
    """What `pip install` takes."""


DRIVERS: dict[str, tuple[Driver, ...]] = {
    "postgresql": (
        Driver("psycopg2", "psycopg2", "psycopg2-binary"),
        Driver("psycopg", "psycopg", "'psycopg[binary]'"),
    ),
    "mysql": (Driver("pymysql", "pymysql", "pymysql"), Driver("mysqldb", "MySQLdb", "mysqlclient")),
    "mariadb": (Driver("pymysql", "pymysql", "pymysql"), Driver("mysqldb", "MySQLdb", "mysqlclient")),
    "mssql": (Driver("pymssql", "pymssql", "pymssql"), Driver("pyodbc", "pyodbc", "pyodbc")),
    "oracle": (Driver("oracledb", "oracledb", "oracledb"),),
    "snowflake": (Driver("", "snowflake", "snowflake-sqlalchemy"),),
    "bigquery": (Driver("", "sqlalchemy_bigquery", "sqlalchemy-bigquery"),),
    "redshift": (
        Driver("psycopg2", "psycopg2", "sqlalchemy-redshift psycopg2-binary"),
        Driver("redshift_connector", "redshift_connector", "sqlalchemy-redshift redshift_connector"),
    ),
}
"""The drivers of each kind of server, by its name in URLs. The first one is recommended."""

SERVERS = frozenset({*DRIVERS, "cockroachdb", "trino"})
"""Names in URLs that `clv init` takes for a database on a server."""


def engine_of(url: sqlalchemy.URL, label: str) -> sqlalchemy.Engine:
    """An engine for the URL. If the URL names no driver, SQLAlchemy's own is taken, or else one that is installed.

    Raises:
        SourceError: no driver is installed; it says what to install.
    """  # noqa: DOC501  (`missing_driver` makes the error)
    import sqlalchemy

    try:
        return sqlalchemy.create_engine(_with_driver(url), poolclass=sqlalchemy.pool.NullPool)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise missing_driver(url, label, error) from None


def missing_driver(url: sqlalchemy.URL, label: str, error: Exception) -> SourceError:
    """The error for a database whose driver cannot be imported."""
    # That a module is missing is said in our own words; that a library of the system is, only the driver knows.
    says_more = isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError)
    backend, _, stated = url.drivername.partition("+")
    known = DRIVERS.get(backend, ())
    driver = next((driver for driver in known if driver.name == stated), known[0] if known and not stated else None)
    return SourceError(
        f"{label}: the driver that reads {url.drivername} is not installed",
        quoted=first_line(error) if says_more else "",
        to_do=f"`pip install {driver.packages}` in the environment of clv"
        if driver is not None
        else "install its SQLAlchemy dialect in the environment of clv, or correct the beginning of the url",
    )


def _with_driver(url: sqlalchemy.URL) -> sqlalchemy.URL:
    """The URL with an installed driver in it, where it states none and SQLAlchemy's own one is not installed."""
    if "+" in url.drivername or url.drivername not in DRIVERS:
        return url
    try:
        url.get_dialect().import_dbapi()
    except ImportError:  # also of a system library, such as libodbc
        installed = (driver for driver in DRIVERS[url.drivername] if importlib.util.find_spec(driver.module))
        if driver := next((driver for driver in installed if driver.name), None):
            return url.set(drivername=f"{url.drivername}+{driver.name}")
    return url
