"""From feature tables to the frames that models are taught by and asked about."""
