"""The distributed engine, an optional extra: everything about Spark is in this package.

It connects to Spark, replaces the warehouse's session by one over Iceberg tables, translates the queries of
`dbt_like_sql/`, and lists the functions that are proven to give the same results.
"""
