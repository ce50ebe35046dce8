"""Opening DuckDB safely: connections and their limits, quoting, modes of files."""
