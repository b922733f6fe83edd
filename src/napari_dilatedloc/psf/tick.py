"""Ticks: how long work without results on the way lets itself be stopped.

A function of many seconds calls its tick between small pieces of work; a tick that raises ends it.
"""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[], None]


def go_on() -> None:
    """Tick that never stops anything."""
