from tests.contract.converting import convert

__all__ = ["convert"]
