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
