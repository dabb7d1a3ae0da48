"""The image, and what it needs: nothing but a kernel. Prints how large it is and how soon it answers."""

import json
import subprocess
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from producer import __version__
from tests.broker.ports import free_port
from tests.compose.stack import IMAGE, ROOT, docker, said

pytestmark = pytest.mark.long

BARE = ("--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
NO_SHELL = ("--tmpfs", "/usr/bin", "--tmpfs", "/usr/sbin")  # and no other program of the base
LARGEST = 180e6  # bytes over the base
NOWHERE = "127.0.0.1:1"


def unpacked(image: str) -> int:
    """Bytes of all its files."""
    container = said("create", image)
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
            files = export.stdout
            assert files is not None
            return sum(len(piece) for piece in iter(lambda: files.read(1 << 20), b""))
    finally:
        said("rm", container)


def test_it_says_what_it_is() -> None:
    config = json.loads(said("inspect", "--format", "{{json .Config}}", IMAGE))
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (labels["title"], labels["licenses"]) == ("vtj-producer", "Apache-2.0")
    assert (labels["version"], labels["revision"]) == (__version__, commit.stdout.strip())
    assert config["User"] == "65532:65532"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert said("run", *BARE, IMAGE, "--version") == f"vtj-producer {__version__}"


def test_it_needs_no_shell_no_privilege_and_nothing_to_write_on() -> None:
    example = (ROOT / "schemas" / "examples" / "kotikunta.json").read_text("utf-8")
    page = f'{{"viimeisinKirjausavain": 9, "muutokset": [{example}], "ajanTasalla": true}}'
    command = [
        "docker",
        "run",
        "--interactive",
        *BARE,
        *NO_SHELL,
        "--user",
        "1234:1234",
        IMAGE,
        "convert",
        "--strict",
        "-",
    ]
    done = subprocess.run(command, input=page.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topic"] == "vtj.change.kotikunta"
    assert docker("run", *BARE, *NO_SHELL, "--entrypoint", "sh", IMAGE, "-c", "true").returncode != 0


def test_a_missing_secret_is_told_in_a_sentence() -> None:
    settings = {
        "VTJ_KAFKA__BOOTSTRAP_SERVERS": NOWHERE,
        "VTJ_UPSTREAM__URL": f"http://{NOWHERE}",
        "VTJ_UPSTREAM__USERNAME": "account",
        "VTJ_UPSTREAM__PASSWORD_FILE": "/run/secrets/vtj-password",
    }
    done = docker(
        "run", *BARE, *(part for name, value in settings.items() for part in ("-e", f"{name}={value}")), IMAGE
    )
    assert done.returncode == 2
    sentence, hint = done.stderr.decode().splitlines()
    assert "VTJ_UPSTREAM__PASSWORD_FILE" in sentence
    assert "/run/secrets/vtj-password" in sentence
    assert hint.startswith("  → ")


def test_how_large_it_is() -> None:
    base = json.loads(said("inspect", "--format", "{{json .Config.Labels}}", IMAGE))[
        "org.opencontainers.image.base.name"
    ]
    over = unpacked(IMAGE) - unpacked(base)
    print(f"\nimage: {over / 1e6:.0f} MB over {base}")
    assert over < LARGEST


def test_how_soon_it_answers() -> None:
    """From `docker run` to /healthz, where neither Kafka nor upstream is there. Its clock fails no test."""
    took = []
    for _ in range(5):
        port, since = free_port(), time.monotonic()
        settings = ("-e", f"VTJ_KAFKA__BOOTSTRAP_SERVERS={NOWHERE}", "-e", f"VTJ_UPSTREAM__URL=http://{NOWHERE}")
        one = said("run", "--detach", "--read-only", "-p", f"127.0.0.1:{port}:8080", *settings, IMAGE)
        try:
            while not healthy(port):
                assert time.monotonic() - since < 60, said("logs", one)
                time.sleep(0.02)
            took.append(time.monotonic() - since)
        finally:
            said("rm", "--force", one)
    print(f"\nimage: answers {sorted(took)[2]:.1f} s after docker run ({min(took):.1f} to {max(took):.1f})")


def healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(json.loads(answer.read())["alive"])
    except (URLError, ConnectionError):
        return False
