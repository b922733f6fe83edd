import gc
import threading
from contextlib import closing

import pytest

from napari_dilatedloc.inference.ahead import AnyOf, run_ahead


@pytest.fixture(autouse=True)
def _no_leaked_threads():
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert not set(threading.enumerate()) - before


class Source:
    """Counts up to `stop` and notes what happens to it."""

    def __init__(self, stop, closed=None):
        self.stop = stop
        self.closed_flag = closed or threading.Event()
        self.made = []
        self.threads = set()
        self.ended = threading.Event()

    def items(self):
        try:
            for i in range(self.stop):
                self.threads.add(threading.current_thread().name)
                self.made.append(i)
                yield i
        finally:
            self.ended.set()


def ahead_of(source, places=2):
    return run_ahead(source.items(), places, source.closed_flag, "maker")


def test_items_come_in_order_from_the_thread():
    source = Source(20)
    assert list(ahead_of(source)) == list(range(20))
    assert source.threads == {"maker"}


@pytest.mark.parametrize("places", [1, 2, 5])
def test_never_more_items_than_places(places):
    source = Source(30)
    with closing(ahead_of(source, places)) as items:
        for used, item in enumerate(items):
            assert item == used
            assert len(source.made) <= used + places


def test_works_while_the_caller_holds_an_item():
    going_on = threading.Event()

    def items():
        yield 1
        going_on.set()
        yield 2

    with closing(run_ahead(items(), 2, threading.Event(), "maker")) as made:
        assert next(made) == 1
        assert going_on.wait(20)


def test_an_error_comes_after_the_items_before_it_and_as_it_was():
    error = KeyError("gone")

    def items():
        yield 1
        raise error

    made = run_ahead(items(), 3, threading.Event(), "maker")
    assert next(made) == 1
    with pytest.raises(KeyError) as caught:
        next(made)
    assert caught.value is error
    assert any("items" in entry.name for entry in caught.traceback)  # where it came from


def test_closing_closes_the_source_in_its_thread():
    source = Source(1000)
    made = ahead_of(source)
    next(made)
    made.close()
    assert source.ended.is_set()
    assert len(source.made) < 5


def test_a_source_at_work_sees_that_it_is_closed():
    closed = threading.Event()

    def items():
        yield 1
        assert closed.wait(20)  # a long item that looks at the flag
        yield 2

    made = run_ahead(items(), 2, closed, "maker")
    next(made)
    made.close()


def test_a_dropped_generator_ends_the_thread():
    source = Source(1000)
    made = ahead_of(source)
    next(made)
    del made
    gc.collect()
    assert source.ended.is_set()


def test_a_source_nobody_asks_starts_no_thread():
    source = Source(3)
    before = threading.active_count()
    made = ahead_of(source)
    assert threading.active_count() == before
    made.close()
    assert source.made == []


def test_any_of_several_flags():
    one, other = threading.Event(), threading.Event()
    either = AnyOf((one, other))
    assert not either.is_set()
    other.set()
    assert either.is_set()
