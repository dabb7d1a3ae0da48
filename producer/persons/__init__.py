"""The followed persons: in which bucket each is, who has joined and who has left, and the commands that change it."""
