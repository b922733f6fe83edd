"""A generator that runs in a thread of its own, a bounded number of items ahead.

Nothing here waits with a timeout: places go one way, items the other, and a mark ends either side.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Flag(Protocol):
    """What says that work shall end, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it shall."""
        ...


@dataclass(frozen=True)
class AnyOf:
    """Set as soon as one of its flags is."""

    flags: tuple[Flag, ...]

    def is_set(self) -> bool:
        """Whether any flag is set."""
        return any(flag.is_set() for flag in self.flags)


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def run_ahead(
    source: Generator[T, None, None], places: int, closed: threading.Event, name: str
) -> Generator[T, None, None]:
    """Items of a generator in order, made by a thread while the caller is at work.

    The thread starts with the first item asked for. It makes the item number ``k`` only after the
    item ``k - places`` has been used up, that is, after the next one was asked for; so whoever
    makes items may do so in a ring of `places` buffers.

    Parameters
    ----------
    source : generator
        Runs, and is closed, in the thread.
    places : int
        Items that exist at a time: being made, waiting and in the caller's hand.
    closed : threading.Event
        Set when the caller asks for no more; a `source` that works long on an item should look at
        it. The thread is joined in any case.
    name : str
        Name of the thread.

    Raises
    ------
    BaseException
        What `source` raises, where the caller stands.
    """
    free: SimpleQueue[bool] = SimpleQueue()
    ready: SimpleQueue[_Item[T] | _End] = SimpleQueue()
    for _ in range(places):
        free.put(True)
    thread = threading.Thread(
        target=_work, args=(source, free, ready, closed), name=name, daemon=True
    )
    thread.start()
    try:
        while isinstance(item := ready.get(), _Item):
            yield item.value
            free.put(True)
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        free.put(False)
        thread.join()


def _work(
    source: Generator[T, None, None],
    free: SimpleQueue[bool],
    ready: SimpleQueue[_Item[T] | _End],
    closed: threading.Event,
) -> None:
    error: BaseException | None = None
    try:
        with closing(source):
            while free.get() and not closed.is_set():
                try:
                    ready.put(_Item(next(source)))
                except StopIteration:
                    return
    except BaseException as caught:  # raised again where the caller stands
        error = caught
    finally:
        ready.put(_End(error))
