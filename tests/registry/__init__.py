"""A real schema registry for the tests, Apicurio's: how one is found (`find_registry`) and driven."""

from .contract import VERSION, NoRegistry, RealRegistry
from .discovery import find_registry

__all__ = ["VERSION", "NoRegistry", "RealRegistry", "find_registry"]
