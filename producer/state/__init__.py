"""What is valid now: the initial load, and the line that keeps the state topics current beside the changes."""
