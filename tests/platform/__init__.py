"""The recipes of docs/platform.md, run as they stand there, with their addresses exchanged: `make platform-test`."""
