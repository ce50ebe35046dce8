"""What the tests of deploy/ share: a small shop with a project folder, and waiting for a service."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from clv_pipeline.simulation.raw_lines import generate

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DEADLINE = 400


def wait_for(what: str, look: Callable[[], Any], logs: Path) -> Any:
    """What `look` returns as soon as that is true; connection errors count as not yet."""
    last: Exception | None = None
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (OSError, psycopg2.OperationalError, subprocess.CalledProcessError) as error:
            last = error
        time.sleep(1)
    tails = "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(logs.glob("*.log")))
    pytest.fail(f"waited {DEADLINE} s for {what}; last error: {last}\n{tails}")


def install_package(site: Path) -> None:
    """Install the package into a folder of its own, as the image does."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(ROOT)], check=True)


def write_shop(folder: Path, **blocks: Any) -> None:
    """A project folder: generated orders, and `clv.yaml` with these blocks beside the usual ones."""
    write_orders(folder / "orders" / "a.csv", seed=4)
    columns = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")
    (folder / "clv.yaml").write_text(
        yaml.safe_dump(
            {
                "source": {"transactions": {"path": "orders/*.csv", "columns": {name: name for name in columns}}},
                "models": ["own_rate", "last_window", "bg_nbd"],
                "forecast": {"horizons_days": [30, 90]},
                "backtest": {"origins": 2},
                **blocks,
            }
        )
    )


def write_orders(path: Path, seed: int, first: int = 0) -> None:
    """A file of 4,000 generated lines, whose customers are numbered from `first`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generate(4000, seed=seed, first=first).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
