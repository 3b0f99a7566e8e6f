"""What every entry of the registry is made of: ids, names, and numbers that mean something."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

ID_RULE = "an id of 1 to 64 lower-case letters, digits, '.', '_' or '-', beginning with a letter or digit"

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _an_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise PydanticCustomError("id", "expected {rule}", {"rule": ID_RULE})
    return text


Id = Annotated[str, AfterValidator(_an_id)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Weekday = Annotated[int, Field(ge=1, le=7, strict=True)]
Month = Annotated[int, Field(ge=1, le=12, strict=True)]


class Entry(BaseModel):
    """What every entry of the registry has in common: immutable, and no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
