import threading

import pytest

from napari_dilatedloc.training.pause import Pause


@pytest.fixture
def paused():
    pause = Pause()
    pause.set()
    return pause


def waiting(pause, stop):
    """Thread that waits for the end of the pause, once it does."""
    thread = threading.Thread(target=pause.wait_until_resumed, args=(stop,))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    return thread


def test_nobody_waits_where_nothing_is_paused():
    pause = Pause()
    assert not pause.is_set()
    pause.wait_until_resumed(threading.Event())


def test_clearing_ends_the_waiting(paused):
    thread = waiting(paused, threading.Event())
    paused.clear()
    thread.join(10)
    assert not thread.is_alive()
    assert not paused.is_set()


def test_a_stop_ends_the_waiting_but_not_the_pause(paused):
    stop = threading.Event()
    thread = waiting(paused, stop)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert paused.is_set()
    paused.wait_until_resumed(stop)  # a stop before the waiting counts as well


def test_every_pause_and_every_stop_is_heard(paused):
    stops = threading.Event(), threading.Event()
    for stop in stops:
        thread = waiting(paused, stop)
        paused.clear()
        thread.join(10)
        paused.set()
    thread = waiting(paused, stops[1])
    stops[1].set()
    thread.join(10)
    assert not thread.is_alive()
