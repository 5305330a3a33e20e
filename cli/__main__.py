"""``python -m cli`` is ``notify``."""

from cli.app import main

main()
