"""A registry in Docker, by testcontainers, from the public image."""

import atexit
import gc
import shutil
import warnings

from testcontainers.core.container import DockerContainer

from tests.broker.orphans import Watcher

from .contract import CCOMPAT, VERSION, NoRegistry, RealRegistry, answers

IMAGE = f"apicurio/apicurio-registry:{VERSION}"
PORT = 8080
PATIENCE = 90


class DockerRegistry(RealRegistry):
    way = "docker"

    def __init__(self) -> None:
        self._container: DockerContainer | None = None
        self._watcher: Watcher | None = None
        atexit.register(self.close)
        problem = ""
        try:
            self._container = DockerContainer(IMAGE).with_exposed_ports(PORT)
            self._container.start()
            if shutil.which("docker"):  # testcontainers' own reaper is not to be had everywhere
                self._watcher = Watcher('docker rm -f -v "$1"', self._container.get_container_id())
            host, port = self._container.get_container_host_ip(), self._container.get_exposed_port(PORT)
            self.url = f"http://{host}:{port}{CCOMPAT}"
            if not answers(self.url, PATIENCE):
                problem = "it does not answer"
        except Exception as error:  # no engine, no image, no reaper image, …: this way is shut
            problem = str(error)[:600]
        except BaseException:
            self.close()
            raise
        if problem:
            self.close()
            # docker-py lets go of its socket without closing it where no engine answers; the frames that hold it
            # are gone only now.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
            raise NoRegistry(f"{IMAGE} cannot be run: {problem}")

    def close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.stop()
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None
        atexit.unregister(self.close)
