"""Who the customers are: the R × F grid of named segments, and clusters learned from the data.

Pure functions, polars frames in and out, usable from a notebook. No Dagster, no database, no settings.
"""
