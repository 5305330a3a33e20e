"""Entry point of a receiving process: ``python -m notify.events TOPIC...``, started by a `QueuedListener`.

``python -m notify.events.receiver`` would load that module twice, because the package imports it.
"""

from notify.events.receiver import main

if __name__ == "__main__":
    main()
