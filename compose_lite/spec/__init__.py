"""The Compose Specification: files to a typed, placed, pure Project value."""
