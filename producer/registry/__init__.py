"""The side that faces a schema registry."""
