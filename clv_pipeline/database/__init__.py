"""Opening DuckDB safely, whoever does it: connections and their limits, quoting, modes of files."""
