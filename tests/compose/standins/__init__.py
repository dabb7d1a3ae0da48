"""What compose/platform.yaml runs on, made of Debian's packages and Maven's jars where its images are not to be had."""

from pathlib import Path

from tests.broker import VERSION
from tests.compose.stack import docker, said
from tests.platform.parts import HERE as PLATFORM
from tests.platform.parts import jars

HERE = Path(__file__).parent
PUBLIC = "postgres:17", "maven:3.9-eclipse-temurin-21"


def standins() -> list[str]:
    """Further files for compose; none where the public images are here, or come."""
    if all(docker("image", "inspect", one).returncode == 0 or docker("pull", one).returncode == 0 for one in PUBLIC):
        return []
    worker = jars(PLATFORM / "worker.xml", kafka=VERSION)
    for name, context in {"postgres": HERE, "maven": HERE, "connect": worker}.items():
        file = HERE / f"{name}.Dockerfile"
        said("build", "--quiet", "--tag", f"vtj-standin-{name}", "--file", str(file), str(context))
    return [str(HERE / "standins.yaml")]
