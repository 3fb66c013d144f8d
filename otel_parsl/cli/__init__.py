"""The command line, ``otel-parsl``: one file a command, listed in ``main.COMMANDS``."""
