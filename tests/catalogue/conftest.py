"""The catalogue of the checkout's schemas, built once."""

from pathlib import Path

import pytest

from producer.catalogue.build import build, write
from producer.catalogue.site import Files
from producer.catalogue.topics import Contents
from producer.events.codesets import Codesets
from producer.events.groups import Catalogue


@pytest.fixture(scope="session")
def contents() -> Contents:
    return Contents.read(Catalogue.load(), Codesets.load())


@pytest.fixture(scope="session")
def files(contents: Contents) -> Files:
    return build(contents)


@pytest.fixture(scope="session")
def folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files lie, as the command writes them."""
    made = tmp_path_factory.mktemp("catalogue")
    write(files, made)
    return made
