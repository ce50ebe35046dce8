"""What the numbers say to people: charts and the report.

Pure functions, polars frames in, charts and text out. No Dagster, no database, no settings; no customer is
identifiable in anything that is made here.
"""
