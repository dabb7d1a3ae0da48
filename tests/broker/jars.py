"""The broker's jars, from Maven, kept in the user's cache so that every clone finds them."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .contract import VERSION, NoKafka

POM = Path(__file__).with_name("pom.xml")
OLDEST_JAVA = 17


def java() -> str:
    """Path of a Java that can run the broker."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise NoKafka("no Java here")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise NoKafka(f"the Java here is older than {OLDEST_JAVA}")
    return found


def libs(version: str = VERSION) -> Path:
    """Folder of the jars of a Kafka; copied out of Maven's repositories the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vtj-producer"
    folder = cache / f"kafka-{version}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise NoKafka("no Maven here")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="kafka-", dir=cache))
    try:
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}", f"-Dkafka.version={version}"]
        fetched = subprocess.run(
            [maven, "-B", "-q", "-f", str(POM), *copy],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode != 0:
            said = (fetched.stdout + fetched.stderr).strip().splitlines()
            raise NoKafka(f"Maven could not fetch the broker's jars: {said[0] if said else 'no word why'}")
        fresh.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # another run was quicker: take its jars
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder
