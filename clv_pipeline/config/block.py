"""The base of all blocks of `clv.yaml`: strict and immutable."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A mapping of the configuration: no unknown keys, no changes after it is read.

    The text below a key describes it: `reference.py` turns it into documentation and schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
