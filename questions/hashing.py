"""Room for requests that hash a password, the one thing here that costs a processor dearly.

In each process one hash is computed at a time and two more requests may wait for it. The next ones are sent away at
once: waiting, they would hold the threads and the processors that saves of answers need. No network ever holds the last
place, so that one which sends without end does not lock out all others.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = 3

turn = threading.Lock()  # of the hash that is being computed
held: Counter[str] = Counter()  # places by network
guard = threading.Lock()  # of `held`


@contextmanager
def place(network: str) -> Iterator[bool]:
    """Whether there is room for one more such request from there; it is kept until the block ends."""
    with guard:
        found = held.total() < PLACES and held[network] < PLACES - 1
        if found:
            held[network] += 1
    try:
        yield found
    finally:
        if found:
            with guard:
                held[network] -= 1
                if not held[network]:
                    del held[network]
