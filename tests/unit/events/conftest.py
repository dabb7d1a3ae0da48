from tests.unit.events.pages import convert

__all__ = ["convert"]
