"""pydantic models that read like the Compose Specification."""
