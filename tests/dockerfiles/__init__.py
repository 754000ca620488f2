"""Dockerfiles built by us and by Docker, compared by the image's configuration and files: `python -m tests.dockerfiles`."""
