"""The ``notify`` command: thin commands over the packages ``notify`` and ``workers``.

The entry point is ``cli.__main__``; `app` assembles the commands.
Nothing here implements events, services or jobs: a command parses its options, calls those packages, and prints.
"""
