"""Ports for brokers."""

import os
import random
import socket
from typing import Final

WORKERS: Final = 3  # of the tests, each with a range of its own
WIDTH: Final = 12_000 // WORKERS

_given: set[int] = set()


def free_port() -> int:
    """A port below the range of outgoing connections, so that it stays free while its broker is down.

    No port twice: a broker takes it seconds later, and its restart minutes later.
    """
    first = 20_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS * WIDTH
    while True:
        port = random.randrange(first, first + WIDTH)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        _given.add(port)
        return port
