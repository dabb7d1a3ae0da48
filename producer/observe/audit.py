"""Who did what: a stream of its own in the log, of the logger `vtj.audit`, at every level of VTJ_LOG__LEVEL."""

import logging
import os
import pwd
import socket
from collections.abc import Mapping

_log = logging.getLogger("vtj.audit")


def audit(done: str, values: Mapping[str, object] = {}) -> None:
    """done: in words, with a name in `%(…)s` for each value. Never tells of a person."""
    words = f"{done}, by %(user)s at %(host)s (process %(process)d)"
    _log.info(words, {**values, "user": _user(), "host": socket.gethostname(), "process": os.getpid()})


def _user() -> str:
    """The account that the kernel knows, and who became it by sudo. A container's may have no name."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{name} ({before})" if before else name
