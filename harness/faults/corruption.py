"""What can be done to a row's values: scaled, set to null, swapped, given the other sign.

Pure functions from numbers to numbers; a value that is None stands for null.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from harness.model.fields import Frozen, refuse_unused

Operation = Literal["scale", "null", "swap", "sign"]
Values = dict[str, float | None]


class Corruption(Frozen):
    """How rows are corrupted, and which share of them."""

    operation: Operation = Field(description="what is done to the values of a chosen row")
    share: float = Field(1.0, gt=0, le=1, description="of rows, chosen by seed, entity and event time")
    fields: tuple[str, ...] = Field((), description="those that are changed; by default all with a timestamp")
    factor: float = Field(60.0, allow_inf_nan=False, description="for `scale`; 60 reads minutes as seconds")

    @model_validator(mode="after")
    def _enough_fields(self) -> Corruption:
        if self.operation == "swap" and self.fields and len(self.fields) != 2:
            raise ValueError("swap needs exactly two fields")
        if self.operation == "swap" and not self.fields:
            raise ValueError("swap needs the names of its two fields")
        if len(set(self.fields)) != len(self.fields):
            raise ValueError("a field is named twice")
        if self.operation == "scale" and self.factor == 1:
            raise ValueError("a factor of 1 changes nothing")
        refuse_unused(self, "operation", {"scale": ("factor",)})
        return self

    def corrupt(self, values: Values) -> Values:
        """Return the values that differ after corruption."""
        hit = [f for f in (self.fields or sorted(values)) if f in values]
        changed: Values = {}
        if self.operation == "swap":
            if len(hit) == 2:
                changed = {hit[0]: values[hit[1]], hit[1]: values[hit[0]]}
        else:
            changed = {field: self._one(values[field]) for field in hit}
        return {field: value for field, value in changed.items() if value != values[field]}

    def _one(self, value: float | None) -> float | None:
        if value is None or self.operation == "null":
            return None
        changed = -value if self.operation == "sign" else value * self.factor
        return changed if math.isfinite(changed) else value
