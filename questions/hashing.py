"""Room for requests that hash a password, the one thing here that costs a processor dearly.

In each process one hash is computed at a time and two more requests may wait for it. The next ones are sent away at
once: waiting, they would hold the threads and the processors that saves of answers need.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = 3

turn = threading.Lock()  # of the hash that is being computed
places = threading.BoundedSemaphore(PLACES)


@contextmanager
def place() -> Iterator[bool]:
    """Whether there is room for one more such request; it is kept until the block ends."""
    found = places.acquire(blocking=False)
    try:
        yield found
    finally:
        if found:
            places.release()
