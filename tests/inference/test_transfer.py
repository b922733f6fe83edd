from dataclasses import fields

import numpy as np
import pytest
import torch

from napari_dilatedloc.inference import transfer
from napari_dilatedloc.inference.transfer import (
    REAL,
    WHOLE,
    PlainLane,
    StreamLane,
    host_buffer,
    lane_to,
    to_host,
)
from napari_dilatedloc.network.decode import Decoded

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_columns_arrive_under_their_names():
    columns = {field.name: torch.arange(3.0) + i for i, field in enumerate(fields(Decoded))}
    columns |= {name: columns[name].long() for name in WHOLE}
    whole, real = to_host(Decoded(**columns))
    assert (whole.dtype, real.dtype) == (np.int64, np.float32)
    for name, values in [*zip(WHOLE, whole, strict=True), *zip(REAL, real, strict=True)]:
        np.testing.assert_array_equal(values, columns[name])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.float32])
def test_buffers_hold_what_travels(dtype):
    buffer = host_buffer((2, 3, 4), dtype, CPU)
    assert (buffer.shape, buffer.dtype) == ((2, 3, 4), dtype)
    buffer.numpy()[...] = 200
    assert buffer.float().eq(200).all()


def test_buffers_for_cuda_are_pinned(monkeypatch):
    asked = {}
    monkeypatch.setattr(torch, "empty", lambda shape, **options: asked.update(options))
    host_buffer((1, 2, 3), torch.uint16, CUDA)
    assert asked == {"dtype": torch.uint16, "pin_memory": True}


def test_cpu_is_waited_for_at_once():
    lane = lane_to(CPU)
    assert isinstance(lane, PlainLane)
    assert lane.ahead == 0
    first, second = lane.mark(), lane.mark()
    assert lane.seconds(first, second) == second - first >= 0


class Card:
    """What torch.cuda is asked for, written down in order."""

    def __init__(self, monkeypatch):
        self.log = []
        self.current = "default"
        card = self

        class Stream:
            def __init__(self, device):
                self.name = ("copy", "compute", "read")[sum("made" in entry for entry in card.log)]
                card.log.append(("made", self.name))

            def wait_event(self, event):
                card.log.append((self.name, "waits for", event.name))

        class Event:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self):
                self.name = f"event in {card.current}"

            def synchronize(self):
                card.log.append(("host waits for", self.name))

            def elapsed_time(self, other):
                return 250.0

        class entered:
            def __init__(self, stream):
                self.stream = stream

            def __enter__(self):
                self.before, card.current = card.current, self.stream.name

            def __exit__(self, *error):
                card.current = self.before

        for name, value in {"Stream": Stream, "Event": Event, "stream": entered}.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(
            torch.cuda, "synchronize", lambda device: self.log.append(("all waited for", device))
        )
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.log.append(("emptied",)))


def test_cuda_copies_computes_and_reads_in_streams_that_wait_for_each_other(monkeypatch):
    card = Card(monkeypatch)
    lane = lane_to(CUDA)
    assert isinstance(lane, StreamLane)
    assert lane.ahead == 1
    assert card.log[-1] == ("all waited for", CUDA)
    card.log.clear()
    with lane.copying():
        sent, arrived = lane.mark(), lane.mark()
    with lane.computing(after=arrived):
        done = lane.mark()
    with lane.reading(after=done):
        read = lane.mark()
    assert card.log == [
        ("compute", "waits for", "event in copy"),
        ("read", "waits for", "event in compute"),
    ]
    assert card.current == "default"
    assert lane.seconds(sent, read) == 0.25
    assert card.log[-1] == ("host waits for", "event in read")
    lane.give_back()
    assert card.log[-2:] == [("all waited for", CUDA), ("emptied",)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_round_on_cuda():
    lane = transfer.lane_to(torch.device("cuda", 0))
    buffer = host_buffer((2, 3, 4), torch.uint16, torch.device("cuda", 0))
    buffer.numpy()[...] = 7
    with lane.copying():
        sent = lane.mark()
        frames = buffer.to("cuda:0", non_blocking=True)
        arrived = lane.mark()
    with lane.computing(after=arrived):
        doubled = 2 * frames.float()
        done = lane.mark()
    with lane.reading(after=done):
        assert doubled.cpu().eq(14).all()
    assert lane.seconds(sent, done) > 0
