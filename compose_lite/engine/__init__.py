"""The engine: lifecycle, health, restarts, logs, events, state, and its API server."""
