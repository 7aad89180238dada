"""Types of the fields of `params.yaml`: what a whole number, a rate or an epoch may be."""

from collections.abc import Callable
from math import isfinite
from typing import Annotated, TypeGuard

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: object) -> object:
    # 60.0 is what a careless override writes.
    if not is_finite(value) or value != int(value):
        raise ValueError(f"is not a whole number{unquote_hint(value)}")
    return value


def _seed(value: object) -> object:
    # DVC names a stage and its files after the text of a seed, for which 0.0 is not 0.
    found = _whole(value)
    if isinstance(found, float):
        raise ValueError(f"names stages and files; write it without a point: {int(found)}")
    return found


def empty_as(none: Callable[[], object]) -> BeforeValidator:
    """Nothing behind a key is taken for this; not where DVC makes stages of it, which cannot."""
    return BeforeValidator(lambda value: none() if value is None else value)


def _number(value: object) -> object:
    if not is_finite(value):
        raise ValueError(f"is not a finite number{unquote_hint(value)}")
    return value


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number that YAML wrote as one."""
    # YAML's true is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # an int beyond the range of floats
        return False


def unquote_hint(value: object) -> str:
    """What to do about a number that was written as text."""
    return "; write it without quotes" if isinstance(value, str) else ""


Whole = Annotated[int, BeforeValidator(_whole)]
# Far above any use, and low enough that a slip of the keyboard is refused, not computed with.
MOST = 100_000
Epoch = Annotated[Whole, Field(ge=0, le=MOST)]
Positive = Annotated[Whole, Field(ge=1, le=MOST)]
Seed = Annotated[int, BeforeValidator(_seed), Field(ge=0, lt=2**63)]
Number = Annotated[float, BeforeValidator(_number)]
Rate = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of `params.yaml`: frozen, and with no keys but the ones it declares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
