"""Settings: declared once in `sections`, read from their `sources` by `load`, described by `reference`.

A setting comes from the environment (`VTJ_UPSTREAM__URL`), else from the TOML file given with `--config`
(`[upstream] url = …`), else it has its default. The file may have a table for each of several feeds
(`[feeds.NAME.upstream]`), laid over the top level.
"""

from producer.config.loading import Loaded, load, load_feeds
from producer.config.sections import Feed, Kafka, Privacy, Registry, Schedule, Server, Settings, State, Topics, Upstream

__all__ = [
    "Feed", "Kafka", "Loaded", "Privacy", "Registry", "Schedule", "Server", "Settings", "State", "Topics", "Upstream",
    "load", "load_feeds",
]  # fmt: skip
