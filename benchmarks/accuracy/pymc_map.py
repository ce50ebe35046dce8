"""BG/NBD and Gamma-Gamma of pymc-marketing by MAP, run in an environment of its own, where this project is not.

Reads every `<name>.csv` of a folder (customer_id, frequency, recency, T in weeks, monetary_value) with the horizons in
`<name>.weeks`; writes `<name>.out.csv` (value per purchase, expected purchases by horizon), or the reason in
`<name>.error`.

Run: python pymc_map.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pymc_marketing import clv  # type: ignore[import-not-found]  # not in this project's environment


def forecast(customers: pd.DataFrame, weeks: list[float]) -> pd.DataFrame:
    """The expectations of these customers, in their order."""
    process = clv.BetaGeoModel()
    process.fit(data=customers, method="map", progressbar=False)
    repeats = customers[(customers["frequency"] > 0) & (customers["monetary_value"] > 0)]
    money = clv.GammaGammaModel()
    money.fit(data=repeats, method="map", progressbar=False)
    found = {"value": np.asarray(money.expected_customer_spend(customers)).reshape(-1)}
    for place, horizon in enumerate(weeks):
        purchases = process.expected_purchases(customers, future_t=horizon)
        found[f"purchases_{place}"] = np.asarray(purchases).reshape(-1)
    return pd.DataFrame(found)


def main(folder: Path) -> None:
    """Forecast every file of the folder."""
    for weeks in sorted(folder.glob("*.weeks")):
        customers = pd.read_csv(weeks.with_suffix(".csv"), dtype={"customer_id": str})
        try:
            said = forecast(customers, [float(text) for text in weeks.read_text().split()])
        except Exception as error:
            weeks.with_suffix(".error").write_text(f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            said.to_csv(weeks.with_suffix(".out.csv"), index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
