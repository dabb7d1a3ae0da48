"""The keeper of the embedded broker: a process of its own, so that the broker ends with the demo however that ends.

    python keeper.py COMMAND...

Runs the command with a new folder as its last argument. Ends it, and removes the folder, when standard input ends: the
demo alone holds the other end of that pipe, and even SIGKILL closes it. Run as a file, it imports nothing of ours.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading


def keep(command: list[str]) -> int:
    """The exit code of the command."""
    with tempfile.TemporaryDirectory(prefix="vtj-producer-demo-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen([*command, folder], stdin=subprocess.DEVNULL)  # noqa: S603 - the demo's own words
        signal.signal(signal.SIGTERM, lambda *_: process.kill())

        def watch() -> None:
            os.read(0, 1)  # nothing is ever written there
            process.kill()

        threading.Thread(target=watch, daemon=True).start()
        return process.wait()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
