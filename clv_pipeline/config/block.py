"""What every block of `clv.yaml` has in common."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A mapping of the configuration: no unknown keys, no changes after it is read.

    The text below a key describes it: `reference.py` makes the documentation and the schema of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
