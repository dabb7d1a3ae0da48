"""vtj-producer: Finland's population changes (DVV VTJ-muutosrajapinta) into Kafka, exactly once."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vtj-producer")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+unknown"
