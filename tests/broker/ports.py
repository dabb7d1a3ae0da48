"""Ports for brokers."""

import random
import socket


def free_port() -> int:
    """A port below the range of outgoing connections, so that it stays free while its broker is down."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
