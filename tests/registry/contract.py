"""What a registry can do for a test, however it was come by."""

import json
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

VERSION = "3.3.3"
CCOMPAT = "/apis/ccompat/v7"
JSON = "application/vnd.schemaregistry.v1+json"


class NoRegistry(Exception):
    """This way leads to no registry; the text says why, and what to install or set."""


class RealRegistry(ABC):
    """A real Confluent-compatible registry. url: its root, as VTJ_REGISTRY__URL wants it. Calls block."""

    way: ClassVar[str]
    url: str
    passed_over: Sequence[str] = ()  # why the ways before this one led nowhere

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises urllib.error.HTTPError for any status but 2xx."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": JSON}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def register(self, subject: str, schema: Any) -> int:
        """As somebody else would: past the program."""
        return int(self.ask("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)})["id"])

    @abstractmethod
    def close(self) -> None:
        """End for good. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answers(url: str, patience: float, lives: Callable[[], bool] = lambda: True) -> bool:
    """Whether a registry is there within `patience` seconds. lives: asked now and then; False ends the wait."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and lives():
        try:
            with urllib.request.urlopen(f"{url}/subjects", timeout=5) as answer:
                return isinstance(json.loads(answer.read()), list)
        except (OSError, ValueError):
            time.sleep(0.1)
    return False
