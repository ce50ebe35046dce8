"""The distributed engine, whole: an optional extra, and nothing of it elsewhere.

How a Spark session is reached, its session over Parquet tables in place of the warehouse's own, queries of
`dbt_like_sql/` translated for it, and which functions are proven to give the same there.
"""
