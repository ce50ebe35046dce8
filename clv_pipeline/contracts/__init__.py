"""What every table promises: description, grain, columns and expectations, loaded from `<table>.yml`.

A contract feeds four readers: the Great Expectations suite, the Dagster column schema, the DuckDB
comments and the data dictionary. Nothing here talks to an engine; `clv_pipeline.quality` checks tables against their
contracts.
"""

from clv_pipeline.contracts.contract import Column, Contract, Expectation, load_contract

__all__ = ["Column", "Contract", "Expectation", "load_contract"]
