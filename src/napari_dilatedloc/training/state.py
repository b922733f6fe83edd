"""Everything a training run must remember to go on exactly where it stopped."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from napari_dilatedloc.config import ScalingConfig, TrainingConfig
from napari_dilatedloc.files import replacing
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.training.muon import Muon, split_parameters

COUNTERS = (
    "step",
    "seconds",
    "cpu_seconds",
    "gpu_seconds",
    "best",
    "rate_factor",
    "stale",
    "norms_frozen",
)
FREE_TO_CHANGE = {"steps", "minutes", "device", "patience"}


class CheckpointError(ValueError):
    """A training checkpoint that cannot be used; the message is one sentence."""


@dataclass
class TrainingState:
    """Weights, their average, optimizer, random numbers and counters of a run.

    Attributes
    ----------
    network, average : nn.Module
        The network under training and the running average that is validated and kept.
    optimizers : list of torch.optim.Optimizer
        With their moments; each weight belongs to one of them.
    generator : torch.Generator
        Source of all simulated data.
    scaling : ScalingConfig
        What the network's numbers mean; fine-tuning keeps that of the weights it began with.
    step : int
        Steps done.
    seconds, cpu_seconds, gpu_seconds : float
        Wall and CPU time spent so far, over all resumes, and wall time with a GPU.
    best : float
        Lowest validation loss so far.
    rate_factor : float
        On the learning rate; halved whenever the run diverged.
    stale : int
        Validations since the best one.
    norms_frozen : bool
        Whether batch norm's statistics are held (see `norms`).
    """

    network: nn.Module
    average: nn.Module
    optimizers: list[torch.optim.Optimizer]
    generator: torch.Generator
    scaling: ScalingConfig
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    best: float = float("inf")
    rate_factor: float = 1.0
    stale: int = 0
    norms_frozen: bool = False


def new_state(network: nn.Module, config: TrainingConfig, scaling: ScalingConfig) -> TrainingState:
    """State before the first step."""
    average = copy.deepcopy(network).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(config.seed)
    return TrainingState(network, average, build_optimizers(network, config), generator, scaling)


def build_optimizers(network: nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """AdamW, or Muon for the convolutions and AdamW for the rest."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adamw":
        return [torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)]
    matrices, others = split_parameters(network)
    return [
        Muon(matrices, lr=rate, weight_decay=decay),
        torch.optim.AdamW(others, lr=rate, weight_decay=decay),
    ]


@torch.no_grad()
def update_average(state: TrainingState, decay: float) -> None:
    """Move the average towards the network; batch-norm statistics move alike."""
    warm = min(decay, (1 + state.step) / (10 + state.step))  # early on the average follows closely
    now = state.network.state_dict()
    kept = state.average.state_dict()
    moving = [name for name, values in kept.items() if values.is_floating_point()]
    move = get_ema_multi_avg_fn(warm)
    move([kept[name] for name in moving], [now[name] for name in moving], 0)
    for name in kept.keys() - set(moving):
        kept[name].copy_(now[name])


def to_tensors(state: TrainingState) -> dict[str, Tensor]:
    """Weights, moments and random numbers as copies on the CPU, by name."""
    tensors: dict[str, Tensor] = {"generator": state.generator.get_state()}
    for part, module in (("network", state.network), ("average", state.average)):
        tensors |= {f"{part}.{k}": v for k, v in module.state_dict().items()}
    for number, optimizer in enumerate(state.optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            named = {f"optimizer.{number}.{index}.{k}": v for k, v in values.items()}
            tensors |= {k: torch.as_tensor(v) for k, v in named.items()}
    return {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}


def from_tensors(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    """Put what `to_tensors` gave back into a state."""
    for part, module in (("network", state.network), ("average", state.average)):
        prefix = f"{part}."
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for number, optimizer in enumerate(state.optimizers):
        _load_optimizer(optimizer, f"optimizer.{number}.", tensors)
    state.generator.set_state(tensors["generator"])


def save_state(path: Path, state: TrainingState, config: TrainingConfig, psf: PSF) -> None:
    """Write a checkpoint; the old one stays until the new one is whole."""
    header = {
        "config": config.model_dump_json(),
        "psf": fingerprint(psf),
        "scaling": state.scaling.model_dump_json(),
        "counters": json.dumps({name: getattr(state, name) for name in COUNTERS}),
    }
    with replacing(path) as partial:
        save_file(to_tensors(state), partial, metadata=header)


def fingerprint(psf: PSF) -> str:
    """Hash of a PSF's settings and tensors: two bead stacks often share the settings."""
    digest = hashlib.sha256(psf.config.model_dump_json().encode())
    for name, values in sorted(psf.tensors().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_settings(path: Path) -> TrainingConfig:
    """Settings a checkpointed run was begun with."""
    header, _ = _read(path)
    return TrainingConfig.model_validate_json(header["config"])


def load_state(path: Path, state: TrainingState, config: TrainingConfig, psf: PSF) -> None:
    """Fill a new state from a checkpoint of the same settings and PSF (the length may differ)."""
    header, tensors = _read(path)
    _same_settings(path, TrainingConfig.model_validate_json(header["config"]), config)
    mark = fingerprint(psf)
    if header.get("psf", mark) != mark:  # checkpoints had none at first
        raise CheckpointError(
            f"cannot resume {path}: it was begun with another PSF; give the one it began with"
        )
    from_tensors(state, tensors)
    state.scaling = ScalingConfig.model_validate_json(header["scaling"])
    for name, value in json.loads(header["counters"]).items():
        setattr(state, name, value)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"nothing to resume: no {path}; train without resume") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint; remove it") from error
    if not {"config", "scaling", "counters"} <= header.keys():
        raise CheckpointError(f"{path} is not a training checkpoint; remove it")
    return header, tensors


def _load_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]
) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split(".")
            moments.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _same_settings(path: Path, before: TrainingConfig, config: TrainingConfig) -> None:
    for name in TrainingConfig.model_fields.keys() - FREE_TO_CHANGE:
        old, new = getattr(before, name), getattr(config, name)
        if old != new:
            raise CheckpointError(
                f"cannot resume {path}: {name} was {old}, now {new}; use the settings it began with"
            )
