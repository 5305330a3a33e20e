"""The ``notify`` command: thin commands over the packages ``notify`` and ``workers``.

The entry point is ``cli.__main__``; `app` assembles the commands.
Commands parse options and print. What happens to events, services and jobs is in those packages.
"""
