"""Where the commands print their tables."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(width: int = 200) -> "Console":
    """The terminal; where there is none, as wide as given, so that lines are not broken for whoever reads a pipe."""
    from rich.console import Console

    made = Console()
    return made if made.is_terminal else Console(width=width)
