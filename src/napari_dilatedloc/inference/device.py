"""The one seam for devices: which one, how frames get there, in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]


class DeviceError(ValueError):
    """A device that is not there; the message is one sentence."""


def choose_device(name: str = "auto") -> torch.device:
    """Device by name.

    Parameters
    ----------
    name : str
        "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda", "cuda:1" or "mps".
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not index.isdecimal()):
        raise DeviceError(f"device must be auto, cpu, cuda, cuda:1 or mps, got {name!r}; use auto")
    if kind == "cuda":
        return _cuda(name, int(index) if index else None)
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device mps was asked for, but this machine has none; use auto or cpu")
    return torch.device(kind)


def autocast_for(
    device: torch.device, precision: Precision = "float32"
) -> AbstractContextManager[object]:
    """Context for the network's forward pass.

    bfloat16 holds only where it was asked for and the device computes in it: on CPUs without
    AVX512-BF16 or AMX it was measured ten times slower than float32.
    """
    if precision == "bfloat16" and fast_bfloat16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 on this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return any(
            getattr(torch.cpu, probe, lambda: False)()
            for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return False


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Full float32 in convolutions: TF32 alone moves localizations with the batch size."""
    with torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled,
        benchmark=torch.backends.cudnn.benchmark,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=False,
    ):
        yield


def upload(frames: Tensor, device: torch.device) -> Tensor:
    """Frames on the device as float32; the camera's own type travels, which is smaller.

    The copy of a pinned buffer does not wait, so the buffer may be filled anew only after a
    later result has come back from the device.
    """
    if device.type == "mps":  # knows no uint16
        return frames.float().to(device)
    return frames.to(device, non_blocking=True).float()


def _cuda(name: str, index: int | None) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise DeviceError(
            f"device {name} was asked for, but torch {torch.__version__} finds no CUDA device here;"
            " use auto or cpu"
        )
    if index is None:
        index = torch.cuda.current_device()
    if index >= count:
        raise DeviceError(
            f"device {name} was asked for, but there are {count}, counted from 0; use cuda:0"
        )
    return torch.device("cuda", index)
