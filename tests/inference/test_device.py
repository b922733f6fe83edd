from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_dilatedloc.inference import device as seam
from napari_dilatedloc.inference.device import (
    DeviceError,
    autocast_for,
    choose_device,
    exact_convolutions,
    upload,
)
from napari_dilatedloc.inference.transfer import host_buffer


def test_cpu_by_name():
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_the_best_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert choose_device("auto") == torch.device("cuda", 0)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_absent_cuda_is_named(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"device {name} was asked for.*use auto or cpu"):
        choose_device(name)


def test_cuda_index_out_of_range(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(DeviceError, match="there are 1, counted from 0"):
        choose_device("cuda:1")


def test_absent_mps_is_named(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="mps"):
        choose_device("mps")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:", "", "tpu:0"])
def test_unknown_name(name):
    with pytest.raises(DeviceError, match="must be auto, cpu"):
        choose_device(name)


def test_bfloat16_only_where_asked_and_fast(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(seam, "fast_bfloat16", lambda device: False)
    assert isinstance(autocast_for(cpu, "bfloat16"), nullcontext)
    monkeypatch.setattr(seam, "fast_bfloat16", lambda device: True)
    assert isinstance(autocast_for(cpu, "float32"), nullcontext)
    with autocast_for(cpu, "bfloat16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_exact_convolutions_restores_the_flags():
    before = torch.backends.cudnn.allow_tf32
    with exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.float32])
def test_camera_counts_arrive_as_float32(dtype):
    buffer = host_buffer((2, 3, 4), dtype, torch.device("cpu"))
    buffer.numpy()[...] = np.arange(24).reshape(2, 3, 4)
    arrived = upload(buffer, torch.device("cpu"))
    assert arrived.dtype == torch.float32
    np.testing.assert_array_equal(arrived.flatten(), np.arange(24))


def test_uint16_beyond_int16_stays_positive():
    buffer = host_buffer((1, 1, 1), torch.uint16, torch.device("cpu"))
    buffer.numpy()[...] = 65535
    assert upload(buffer, torch.device("cpu")).item() == 65535


def test_buffers_for_cuda_are_pinned_and_copied_without_waiting(monkeypatch):
    asked = {}

    class Frames:
        def to(self, device, non_blocking=False):
            asked.update(device=device, non_blocking=non_blocking)
            return torch.zeros(1)

    monkeypatch.setattr(torch, "empty", lambda shape, **options: asked.update(options))
    cuda = torch.device("cuda", 0)
    host_buffer((1, 2, 3), torch.uint16, cuda)
    upload(Frames(), cuda)
    assert asked == {
        "dtype": torch.uint16,
        "pin_memory": True,
        "device": cuda,
        "non_blocking": True,
    }


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_round_trip_on_cuda():
    cuda = choose_device("cuda")
    buffer = host_buffer((2, 3, 4), torch.uint16, cuda)
    buffer.numpy()[...] = 65535
    assert buffer.is_pinned()
    assert upload(buffer, cuda).cpu().eq(65535).all()
