import threading
import time
from pathlib import Path

import pytest
from qtpy.QtCore import QThread, QTimer

from napari_dilatedloc.gui.worker import GeneratorWorker, State, describe


@pytest.fixture
def worker(qtbot):
    made = GeneratorWorker()
    yield made
    made.stop_and_wait()


def collect(worker):
    items, states = [], []
    worker.yielded.connect(items.extend)
    worker.state_changed.connect(states.append)
    return items, states


def test_items_arrive_in_order_and_in_the_gui_thread(qtbot, worker):
    items, states = collect(worker)
    where = []
    worker.yielded.connect(lambda _: where.append(QThread.currentThread()))
    home = QThread.currentThread()
    ran_in = []

    def job(stop):
        ran_in.append(threading.get_ident())
        yield from range(1000)

    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.start(job)
    assert items == list(range(1000))
    assert states == [State.RUNNING, State.DONE]
    assert ran_in[0] != threading.get_ident()
    assert all(thread is home for thread in where)
    assert len(where) < 20  # a fast generator does not flood the event loop


def test_cancel_keeps_what_was_yielded_and_closes_the_generator(qtbot, worker):
    items, states = collect(worker)
    closed = []

    def job(stop):
        try:
            for number in range(100_000):
                yield number
                stop.wait(0.02)
        finally:
            closed.append(threading.get_ident())

    with qtbot.waitSignal(worker.yielded, timeout=5000):
        worker.start(job)
    began = time.perf_counter()
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.cancel()
    assert time.perf_counter() - began < 1
    assert states == [State.RUNNING, State.CANCELLING, State.CANCELLED]
    assert items == list(range(len(items)))
    assert 0 < len(items) < 1000
    assert closed != [threading.get_ident()]
    assert len(closed) == 1


def test_an_error_becomes_one_sentence_and_details(qtbot, worker):
    items, states = collect(worker)

    def job(stop):
        yield 1
        raise ValueError("window must be odd, got 4; use 3")

    told = []
    worker.failed.connect(lambda *said: told.append(said))
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.start(job)
    ((sentence, details),) = told
    assert sentence == "Window must be odd, got 4; use 3"
    assert "Traceback" in details
    assert "napari-dilatedloc" in details
    assert items == [1]
    assert states[-1] is State.FAILED


def test_a_fault_of_ours_is_not_shown_as_the_users():
    sentence, details = describe(KeyError("boom"))
    assert sentence.startswith("Unexpected KeyError")
    assert "KeyError" in details


def test_one_job_at_a_time_and_again_after_it(qtbot, worker):
    def job(stop):
        stop.wait(10)
        yield 1

    worker.start(job)
    with pytest.raises(RuntimeError, match="running"):
        worker.start(job)
    worker.stop_and_wait()
    assert worker.state is State.CANCELLED
    items, _ = collect(worker)
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.start(lambda stop: iter_once())
    assert items == ["again"]
    qtbot.wait(50)  # late signals of the first thread must not disturb
    assert worker.state is State.DONE


def iter_once():
    yield "again"


def test_what_takes_long_to_show_comes_in_slices(qtbot, worker):
    """A timer of the event loop gets its turn, although all items are there at once."""
    turns, slices = [], []
    beat = QTimer()
    beat.timeout.connect(lambda: turns.append(len(slices)))
    beat.start(0)

    def show(items):
        slices.append(items)
        time.sleep(0.02 * len(items))

    def job(stop):
        yield from range(30)

    worker.yielded.connect(show)
    with qtbot.waitSignal(worker.finished, timeout=20_000):
        worker.start(job)
    assert [item for items in slices for item in items] == list(range(30))
    assert worker.state is State.DONE
    assert max(len(items) for items in slices) <= 2
    assert set(turns) >= set(range(5, 25))  # between any two slices


def test_closing_amid_slices_delivers_all_and_cancelling_too(qtbot, worker):
    for end in (worker.stop_and_wait, worker.cancel):
        items, states = collect(worker)

        def show(_items):
            time.sleep(0.02)

        worker.yielded.connect(show)
        worker.start(lambda stop: iter_some(50))
        qtbot.waitUntil(lambda found=items: len(found) > 3, timeout=20_000)
        qtbot.wait(100)  # by now the thread has ended, and Qt has deleted it
        assert len(items) < 50
        end()
        qtbot.waitUntil(lambda: not worker.state.busy, timeout=20_000)
        assert items == list(range(50))
        assert states[-1] is State.CANCELLED
        worker.yielded.disconnect()
        worker.state_changed.disconnect()


def iter_some(count):
    yield from range(count)


def test_deleting_a_running_worker_stops_its_thread(qtbot):
    ended = threading.Event()

    def job(stop):
        try:
            while True:
                yield 0
                stop.wait(0.01)
        finally:
            ended.set()

    worker = GeneratorWorker()
    worker.start(job)
    worker.deleteLater()
    qtbot.waitUntil(ended.is_set, timeout=5000)


def test_the_worker_knows_no_torch_and_no_napari():
    source = Path(GeneratorWorker.__init__.__code__.co_filename).read_text()
    assert "torch" not in source.replace('"torch"', "")
    assert "import napari" not in source
