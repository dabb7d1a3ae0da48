"""What Maven fetches for these tests, kept in the user's cache so that every clone finds it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from .contract import NoRegistry


def cached(name: str, fetch: Callable[[Path], None]) -> Path:
    """A folder of the cache; the first time `fetch` fills a fresh one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vtj-producer"
    folder = cache / name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
    try:
        fetch(fresh)
        fresh.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # another run was quicker: take its files
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def maven(*arguments: str) -> None:
    """Runs Maven to its end. Raises NoRegistry with its first word of complaint."""
    found = shutil.which("mvn")
    if found is None:
        raise NoRegistry("no Maven here (Debian: apt-get install maven)")
    done = subprocess.run([found, "-B", "-q", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise NoRegistry(f"Maven could not fetch what the tests need: {said[0] if said else 'no word why'}")
