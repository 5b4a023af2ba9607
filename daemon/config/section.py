"""What holds for every section of the configuration."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict

# No plugin of another package has a say in how the configuration is read, and looking for them takes time.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")

MIB = 1024 * 1024


class Section(BaseModel):
    """What holds for every section."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True, allow_inf_nan=False)
