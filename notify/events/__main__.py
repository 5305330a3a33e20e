"""Entry point of a receiving process: ``python -m notify.events TOPIC...``, started by a `QueuedListener`.

It is not `notify.events.receiver` itself: the package imports that module, so ``python -m`` would load it twice.
"""

from notify.events.receiver import main

if __name__ == "__main__":
    main()
