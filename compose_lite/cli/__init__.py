"""The command line: global options, one file a command, error to exit status."""
