"""Everything a training run must remember to go on exactly where it stopped."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_dilatedloc.config import ScalingConfig, TrainingConfig
from napari_dilatedloc.files import replacing

COUNTERS = ("step", "seconds", "cpu_seconds", "best")


class CheckpointError(ValueError):
    """A training checkpoint that cannot be used; the message is one sentence."""


@dataclass
class TrainingState:
    """Weights, their average, optimizer, random numbers and counters of a run.

    Attributes
    ----------
    network, average : nn.Module
        The network under training and the running average that is validated and kept.
    optimizer : torch.optim.Optimizer
        With its moments.
    generator : torch.Generator
        Source of all simulated data.
    scaling : ScalingConfig
        What the network's numbers mean; fine-tuning keeps that of the weights it began with.
    step : int
        Steps done.
    seconds, cpu_seconds : float
        Wall and CPU time spent so far, over all resumes.
    best : float
        Best validation score so far (3-D efficiency, %).
    """

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    scaling: ScalingConfig
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float = float("-inf")


def new_state(network: nn.Module, config: TrainingConfig, scaling: ScalingConfig) -> TrainingState:
    """State before the first step."""
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    generator = torch.Generator().manual_seed(config.seed)
    return TrainingState(network, average, optimizer, generator, scaling)


@torch.no_grad()
def update_average(state: TrainingState, decay: float) -> None:
    """Move the average towards the network; batch-norm statistics move alike."""
    warm = min(decay, (1 + state.step) / (10 + state.step))  # early on the average follows closely
    now = state.network.state_dict()
    for name, kept in state.average.state_dict().items():
        if kept.dtype.is_floating_point:
            kept.lerp_(now[name], 1 - warm)
        else:
            kept.copy_(now[name])


def save_state(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Write a checkpoint; the old one stays until the new one is whole."""
    tensors: dict[str, Tensor] = {"generator": state.generator.get_state()}
    for part, module in (("network", state.network), ("average", state.average)):
        tensors |= {f"{part}.{k}": v for k, v in module.state_dict().items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in values.items()}
    header = {
        "config": config.model_dump_json(),
        "scaling": state.scaling.model_dump_json(),
        "counters": json.dumps({name: getattr(state, name) for name in COUNTERS}),
    }
    plain = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    with replacing(path) as partial:
        save_file(plain, partial, metadata=header)


def load_state(path: Path, state: TrainingState, config: TrainingConfig) -> None:
    """Fill a new state from a checkpoint of the same settings (the length may differ)."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"nothing to resume: no {path}; train without resume") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint; remove it") from error
    _same_settings(path, header, config)
    for part, module in (("network", state.network), ("average", state.average)):
        prefix = f"{part}."
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    _load_optimizer(state.optimizer, tensors)
    state.generator.set_state(tensors["generator"])
    state.scaling = ScalingConfig.model_validate_json(header["scaling"])
    for name, value in json.loads(header["counters"]).items():
        setattr(state, name, value)


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _same_settings(path: Path, header: dict[str, str], config: TrainingConfig) -> None:
    if not {"config", "scaling", "counters"} <= header.keys():
        raise CheckpointError(f"{path} is not a training checkpoint; remove it")
    before = TrainingConfig.model_validate_json(header["config"])
    for name in TrainingConfig.model_fields.keys() - {"steps", "minutes", "device"}:
        old, new = getattr(before, name), getattr(config, name)
        if old != new:
            raise CheckpointError(
                f"cannot resume {path}: {name} was {old}, now {new}; use the settings it began with"
            )
