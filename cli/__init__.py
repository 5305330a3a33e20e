"""The command line: thin commands over ``notify`` and ``workers``."""
