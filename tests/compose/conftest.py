"""The image of this checkout, built as `make image` does it."""

import subprocess

import pytest

from tests.compose.stack import CURE, IMAGE, ROOT, docker


@pytest.fixture(scope="session", autouse=True)
def image() -> str:
    if docker("compose", "version").returncode != 0 or docker("version").returncode != 0:
        pytest.fail(f"The stacks want a Docker engine that answers: {CURE}.", pytrace=False)
    done = subprocess.run(["make", "image"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return IMAGE
