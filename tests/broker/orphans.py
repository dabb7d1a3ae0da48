"""A watcher that cleans up after a test run that was killed itself and could not."""

import subprocess


class Watcher:
    """Runs a shell script once this process is gone: it waits for the end of a pipe that we alone hold open."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", f"cat >/dev/null; {script}", "watcher", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Nothing is left to clean up."""
        self._process.kill()
        self._process.communicate()
