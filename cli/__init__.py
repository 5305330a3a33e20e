"""The ``notify`` command: thin commands over the packages ``notify`` and ``workers``.

The entry point is ``cli.__main__``; `app` assembles the commands.
Nothing here decides about events, services or jobs.
"""
