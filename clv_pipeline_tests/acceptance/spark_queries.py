"""Runs queries on Spark Connect, in a Python that has PySpark and nothing of ours: python spark_queries.py FOLDER…

In every folder, tables/*.parquet are tables; the rows of each query in queries/<name>.sql go to rows/<name>.parquet,
or what Spark says against it to rows/<name>.error. The settings are those that the queries are made for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # One core needs no more; 200, as is usual, would take minutes.
    "spark.sql.shuffle.partitions": "1",
}


def main(folders: list[Path]) -> None:
    """Start a Connect server in this process, ask it everything, and stop it."""
    spark = SparkSession.builder.remote("local[1]").getOrCreate()
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    for folder in folders:
        for table in sorted((folder / "tables").glob("*.parquet")):
            spark.read.parquet(str(table)).createOrReplaceTempView(table.stem)
        (folder / "rows").mkdir()
        for query in sorted((folder / "queries").glob("*.sql")):
            try:
                # Through Arrow, because pandas would make floats of whole numbers and of decimals.
                rows = spark.sql(query.read_text(encoding="utf-8")).toArrow()
            except PySparkException as error:
                (folder / "rows" / f"{query.stem}.error").write_text(str(error), encoding="utf-8")
            else:
                pq.write_table(rows, folder / "rows" / f"{query.stem}.parquet")
    spark.stop()


if __name__ == "__main__":
    main([Path(folder).resolve() for folder in sys.argv[1:]])
