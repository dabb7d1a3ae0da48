"""A broker in Docker, by testcontainers, from the public image."""

import atexit
import gc
import shutil
import warnings
from typing import Any

from testcontainers.core.container import DockerContainer

from .contract import SETTINGS, VERSION, Broker, NoKafka, answers
from .orphans import Watcher
from .ports import free_port

IMAGE = f"apache/kafka:{VERSION}"
PORT = 9092
START_PATIENCE = 90
STOP_PATIENCE = 30

# Where the container is reached is known only once it runs, and the broker must advertise just that: it waits
# for the word. The file outlives a restart, as does the port on the host, which is fixed for that reason. The
# image writes its settings over files of its own; those are read-only in an image built from a read-only folder.
COMMAND = """
chmod -R u+w /opt/kafka/config /etc/kafka/docker 2>/dev/null
until [ -s /tmp/advertised ]; do sleep 0.05; done
export KAFKA_ADVERTISED_LISTENERS="$(cat /tmp/advertised)"
exec /etc/kafka/docker/run
"""


class DockerBroker(Broker):
    way = "docker"

    def __init__(self) -> None:
        self._container: DockerContainer | None = None
        self._watcher: Watcher | None = None
        atexit.register(self.close)
        problem = ""
        try:
            self._run()
        except Exception as error:  # no engine, no image, no reaper image, …: this way is shut
            problem = str(error)[:600]
            self.close()
        except BaseException:
            self.close()
            raise
        if problem:
            # docker-py lets go of its socket without closing it where no engine answers; the frames that hold it
            # are gone only now.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
            raise NoKafka(f"{IMAGE} cannot be run: {problem}")

    def _run(self) -> None:
        settings = SETTINGS | {
            "log.dirs": "/var/lib/kafka/data",
            "listeners": f"PLAINTEXT://:{PORT},CONTROLLER://:9093",
            "controller.quorum.voters": "1@localhost:9093",
        }
        variables = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in settings.items()}
        self._container = (
            DockerContainer(IMAGE)
            .with_bind_ports(PORT, free_port())
            .with_envs(**variables, KAFKA_HEAP_OPTS="-Xms128m -Xmx1536m")
            .with_command(["sh", "-c", COMMAND])
        )
        self._container.start()
        if shutil.which("docker"):  # testcontainers' own reaper is not to be had everywhere
            self._watcher = Watcher('docker rm -f -v "$1"', self._container.get_container_id())
        host, port = self._container.get_container_host_ip(), self._container.get_exposed_port(PORT)
        self.bootstrap = f"{host}:{port}"
        told = self._container.exec(["sh", "-c", f"echo PLAINTEXT://{self.bootstrap} >/tmp/advertised"])
        if told.exit_code != 0:
            raise NoKafka(f"the container of {IMAGE} cannot be told its address")
        self._await()

    def start(self) -> None:
        self._docker.start()
        self._await()

    def stop(self) -> None:
        self._docker.stop(timeout=STOP_PATIENCE)

    def kill(self) -> None:
        self._docker.kill()
        self._docker.wait(timeout=STOP_PATIENCE)

    def pause(self) -> None:
        self._docker.pause()

    def resume(self) -> None:
        self._docker.unpause()

    def log(self, lines: int) -> str:
        return str(self._docker.logs(tail=lines).decode(errors="replace"))

    def close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.stop()  # removes it with its volumes, and closes the connection to the engine
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None
        atexit.unregister(self.close)

    def _await(self) -> None:
        if not answers(self.bootstrap, START_PATIENCE, self._lives):
            raise NoKafka(f"the broker did not start; its last words:\n{self.log(20)}")

    def _lives(self) -> bool:
        self._docker.reload()
        return bool(self._docker.status == "running")

    @property
    def _docker(self) -> Any:
        """The container as the Docker SDK sees it (untyped)."""
        if self._container is None:
            raise RuntimeError("the broker is closed")
        return self._container.get_wrapped_container()
