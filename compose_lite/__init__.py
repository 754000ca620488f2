"""compose-lite: Compose files, images and containers on Linux, with one `pip install`."""

__version__ = "0.1.0"
