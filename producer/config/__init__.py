"""Settings: declared once in `sections`, read from their sources by `load`, described by `reference`.

A setting comes from the environment (`VTJ_UPSTREAM__URL`), else from the TOML file given with `--config`
(`[upstream] url = …`), else it has its default.
"""

from producer.config.sections import (
    Feed,
    Kafka,
    Log,
    Permit,
    Registry,
    Schedule,
    Settings,
    State,
    Topics,
    Upstream,
    Xroad,
)
from producer.config.sources import Loaded, load

__all__ = [
    "Feed",
    "Kafka",
    "Loaded",
    "Log",
    "Permit",
    "Registry",
    "Schedule",
    "Settings",
    "State",
    "Topics",
    "Upstream",
    "Xroad",
    "load",
]
