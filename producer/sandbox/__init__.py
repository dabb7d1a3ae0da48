"""A faithful stand-in for VTJ-muutosrajapinta, for development, tests and the demo. Synthetic persons only."""

from producer.sandbox.server import ACCOUNT, Sandbox

__all__ = ["ACCOUNT", "Sandbox"]
