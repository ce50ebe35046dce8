"""From feature tables to the frames on which models are trained and with which they forecast."""
