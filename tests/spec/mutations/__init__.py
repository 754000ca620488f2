"""Real Compose files, damaged: each is loaded or refused in words, in little time and memory. `python -m tests.spec.mutations --help`."""
