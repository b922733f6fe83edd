"""A run that waits until it is told to go on."""

from __future__ import annotations

import threading


class Pause:
    """Switch that holds a run in another thread; cleared at first.

    Unlike for a `threading.Event` one can wait for its end, and a stop ends the waiting too. Nobody
    looks again and again: an event wakes those only who wait for it, so from the first pause on a
    thread of its own sleeps until the stop comes.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = False
        self._stop: threading.Event | None = None  # the one that is waited for

    def set(self) -> None:
        """Hold the run after the step at hand."""
        with self._changed:
            self._paused = True

    def clear(self) -> None:
        """Let the run go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def is_set(self) -> bool:
        """Whether the run is held."""
        return self._paused

    def wait_until_resumed(self, stop: threading.Event) -> None:
        """Return at once if cleared, else when it is cleared or `stop` is set."""
        with self._changed:
            if not self._paused or stop.is_set():
                return
            if self._stop is not stop:
                self._stop = stop
                threading.Thread(
                    target=self._wake, args=(stop,), name="stop-out-of-pause", daemon=True
                ).start()
            self._changed.wait_for(lambda: not self._paused or stop.is_set())

    def _wake(self, stop: threading.Event) -> None:
        stop.wait()
        with self._changed:
            self._changed.notify_all()
