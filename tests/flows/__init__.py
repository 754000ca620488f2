"""Random sequences of commands, run by us and by Docker Compose, compared after each: `python -m tests.flows` (CONTRIBUTING.md)."""
