"""Every page of docs/errors has an example, and the example gives that error (test_pages.py)."""
