"""Services with values of a table, by us and by Docker, compared by what they see and by inspect: `python -m tests.attributes`."""
