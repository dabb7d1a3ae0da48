"""docs/configuration.md: `python -m producer.config.manual > docs/configuration.md`."""

import sys
from typing import Final

from producer.config.reference import settings, shown

HEAD: Final = """\
# Configuration

Each setting comes from the environment, else from the TOML file given with `--config`, else it has its default.
`vtj-producer config` prints what is in force, and where it comes from.

- An environment variable that is empty counts as unset.
- An unknown `VTJ_…` variable or TOML key is an error, so that a slip of the pen cannot pass for a default. Only the
  variables that Kubernetes sets for services named `vtj-…` (`VTJ_…_SERVICE_HOST`, `VTJ_…_PORT`, …) are passed over.
- A password may stand in a file of its own (`…_FILE`); giving both is an error. Secrets are never printed.

## Several feeds

Each of several permits or accounts is a feed with a table `[feeds.NAME]`. It holds tables of the same names as below,
laid over the top level. NAME is the feed's name, in lower case; only the file makes a feed.

```toml
[kafka]
bootstrap_servers = "kafka.example.fi:9092"    # of all

[feeds.helsinki.upstream]
url = "https://security-server.example.fi"
username = "helsinki"
password_file = "/run/secrets/helsinki"

[feeds.helsinki.permit]
groups = "helsinki"                            # the file permits/helsinki

[feeds.espoo]
topics.prefix = "espoo"                        # that of helsinki is vtj
upstream = { url = "https://security-server.example.fi", username = "espoo" }
schedule.interval = 86400
```

- In the environment: `VTJ_FEEDS__ESPOO__UPSTREAM__PASSWORD`; a `-` in the name is a `_` there.
- What a feed's table or variables say goes before the top level, wherever that stands. A secret replaces the top
  level's file of it, and the other way round; headers are replaced as a whole.
- Every feed needs a `topics.prefix` of its own: state, identities and watchlist have one record of a person, and two
  feeds would undo each other's.
- `[log]` and `[server]` are the process's. `[feed]` is for files without feeds: what has begun as feed `vtj` goes on
  as `[feeds.vtj]`, with its prefix.
- `vtj-producer run` serves all of them in one process; with `--feed NAME` one, and needs no secret of the others.
  Every other command takes `--feed NAME` too, and asks for it where there are several.
"""


def markdown() -> str:
    lines, section = [HEAD], ""
    for setting in settings():
        table, _, key = setting.name.rpartition(".")
        if table != section:
            section = table
            lines += [
                f"## [{section}]\n" if lines == [HEAD] else f"\n## [{section}]\n",
                "| Environment | TOML | Type | Unit | Default | Meaning | Example |",
                "| --- | --- | --- | --- | --- | --- | --- |",
            ]
        default = shown(setting.default)
        cells = [
            f"`{setting.env}`",
            f"`{key}`",
            setting.type,
            setting.unit,
            f"`{default}`" if default else "",
            setting.meaning,
            f"`{setting.example}`",
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
