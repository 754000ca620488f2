"""One file a command: help, arguments and action side by side."""
