"""A broker on a Java of this machine, straight from its jars: `java -cp … kafka.Kafka server.properties`."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import jars
from .contract import SETTINGS, VERSION, Broker, NoKafka, answers
from .orphans import Watcher
from .ports import free_port

LOG4J = Path(__file__).with_name("log4j2.properties")
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
STOP_PATIENCE = 30
START_PATIENCE = 90


class JvmBroker(Broker):
    """settings: beside SETTINGS. controllers: addresses of all nodes of a cluster, of which this is `number`.

    listeners: of these names too, each with an address of its own in `addresses`. accounts: SCRAM accounts, as
    kafka-storage takes them. version: of Kafka.
    """

    way = "jvm"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        number: int = 1,
        controllers: Sequence[str] = (),
        options: Sequence[str] = ("-Xms128m", "-Xmx1536m"),
        listeners: Sequence[str] = (),
        accounts: Sequence[str] = (),
        version: str = VERSION,
    ) -> None:
        self._java, self._libs, self._options = jars.java(), jars.libs(version), options
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="vtj-producer-kafka-"))
        atexit.register(self.close)
        try:
            self.bootstrap = f"127.0.0.1:{free_port()}"
            self.addresses = {name: f"127.0.0.1:{free_port()}" for name in listeners}
            beside = "".join(f",{name}://{address}" for name, address in self.addresses.items())
            controllers = controllers or [f"127.0.0.1:{free_port()}"]
            all_settings = SETTINGS | {
                "node.id": str(number),
                "log.dirs": str(self._folder / "data"),
                "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controllers[number - 1]}{beside}",
                "controller.quorum.voters": ",".join(f"{at}@{one}" for at, one in enumerate(controllers, 1)),
                **(settings or {}),
            }
            self._properties = self._folder / "server.properties"
            self._properties.write_text("".join(f"{name}={value}\n" for name, value in all_settings.items()))
            self._format(accounts)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        with (self._folder / "broker.log").open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the tests, which then close the broker.
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._properties)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watcher = Watcher('kill -s KILL -- "-$1"; rm -rf -- "$2"', str(self._process.pid), str(self._folder))
        process = self._process
        if not answers(self.bootstrap, START_PATIENCE, lambda: process.poll() is None):
            raise NoKafka(f"the broker did not start; its last words:\n{self.log(20)}")

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self, lines: int) -> str:
        return "\n".join((self._folder / "broker.log").read_text(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the broker is down")
        os.killpg(self._process.pid, number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(STOP_PATIENCE)
        self._process = None
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None

    def _format(self, accounts: Sequence[str]) -> None:
        storage = ["format", "--cluster-id", CLUSTER_ID, "--config", str(self._properties)]
        storage += [part for account in accounts for part in ("--add-scram", account)]
        done = subprocess.run(
            self._command("kafka.tools.StorageTool", *storage), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NoKafka(f"the broker's storage could not be formatted: {done.stderr.strip()[-500:]}")

    def _command(self, main: str, *arguments: str) -> list[str]:
        options = [*self._options, "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={LOG4J}"]
        return [self._java, *options, "-cp", f"{self._libs}/*", main, *arguments]
