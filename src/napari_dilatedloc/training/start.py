"""Where a run begins: fresh weights, or those of a model for another PSF."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_dilatedloc.config import Range, ScalingConfig
from napari_dilatedloc.network.checkpoint import Model, load_model
from napari_dilatedloc.network.registry import NetworkError, as_network, build_network
from napari_dilatedloc.network.shipped import available_models, read_info
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.build import build_psf
from napari_dilatedloc.training.likeness import Likeness, likeness

LEAST = 0.15
"""Score from which on another PSF's weights are taken: a tetrapod was learnt well from those of an
astigmatic Gaussian, which scores 0.17 (docs/training.md)."""


@dataclass(frozen=True)
class Nearest:
    """The most alike of some PSFs.

    Attributes
    ----------
    name : str
        Which one.
    likeness : Likeness
        How alike it is.
    """

    name: str
    likeness: Likeness

    @property
    def useful(self) -> bool:
        """Whether it is worth starting from its weights."""
        return self.likeness.score >= LEAST

    @property
    def why(self) -> str:
        """Why its weights are taken."""
        alike = self.likeness
        turned = ", turned or mirrored," if alike.turned else ""
        part = "" if alike.depth > 0.9 else f" over {alike.depth:.0%} of the heights"
        return f"its PSF{turned} is the most like yours ({alike.shape:.2f}{part})"


def fresh_network(name: str, seed: int) -> nn.Module:
    """Untrained network with the weights of a seed; the global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # layers draw their weights from the global generator
        return build_network(name)


def nearest(psf: PSF, others: Mapping[str, PSF]) -> Nearest | None:
    """The most alike of some PSFs by `Likeness.score`; None if there are none.

    Parameters
    ----------
    psf : PSF
        What is to be learnt.
    others : mapping of str to PSF
        What was learnt, by name.
    """
    ranked = [Nearest(name, likeness(psf, other)) for name, other in others.items()]
    return max(ranked, key=lambda one: one.likeness.score, default=None)


def choose_start(
    init: str,
    psf: PSF,
    network: str,
    tell: Callable[[str], None] | None = None,
) -> Model | None:
    """Model to start from, or None to start from nothing.

    Parameters
    ----------
    init : str
        "auto" for the shipped model with the most similar PSF, "none", or the name or path of a
        model.
    psf : PSF
        What is to be learnt.
    network : str
        Registry name; only shipped models of this network can serve.
    tell : callable, optional
        Told what "auto" chose and why.
    """
    if init == "none":
        return None
    if init != "auto":
        return load_model(init)
    usable = [name for name in available_models() if read_info(name).network == network]
    models = {name: load_model(name) for name in usable}
    found = nearest(psf, {k: build_psf(m.info.psf, m.psf_tensors) for k, m in models.items()})
    if tell is not None:
        tell(_reason(found, network))
    return models[found.name] if found is not None and found.useful else None


def _reason(found: Nearest | None, network: str) -> str:
    """What "auto" chose and why."""
    if found is None:
        why = f"no shipped model has the network {network}"
    elif not found.useful:
        why = f"no shipped model has a PSF like yours ({found.name} comes nearest)"
    else:
        return f"starting from the weights of {found.name}: {found.why}"
    return f"{why}; starting from nothing, which takes hours"


def adapted(
    network: nn.Module, scaling: ScalingConfig, z_range_nm: Range
) -> tuple[nn.Module, ScalingConfig]:
    """Copy of a network whose z output reaches over another range, and its scaling.

    The output is linear around its middle, so the rows of z and of its sigma in the output layer,
    ``out``, are rescaled: the copy says the same heights in nm as before, as far as they lie inside
    the new range. A network without such a layer keeps its scaling, if that reaches far enough.

    Raises
    ------
    NetworkError
        If the network has no layer ``out`` and would have to reach further.
    """
    copied = copy.deepcopy(network)
    channels = as_network(copied).channels
    out: Any = getattr(copied, "out", None)
    if not _has_rows(out, channels):
        _check_reach(network, scaling, z_range_nm)
        return copied, scaling
    low, high = z_range_nm
    new = scaling.replace(z_scale_nm=(high - low) / 2, z_centre_nm=(high + low) / 2)
    ratio = scaling.z_scale_nm / new.z_scale_nm
    shift = (scaling.z_centre_nm - new.z_centre_nm) / new.z_scale_nm
    with torch.no_grad():
        z = channels.index("z")
        out.weight[z] *= ratio
        out.bias[z] = out.bias[z] * ratio + shift
        # softplus is about exp far below zero, where the sigmas of a trained network lie
        out.bias[channels.index("sigma_z")] += math.log(ratio)
    return copied, new


def _has_rows(layer: Any, channels: tuple[str, ...]) -> bool:
    """Whether a layer has a row of weights and a bias for each channel."""
    tensors = [getattr(layer, name, None) for name in ("weight", "bias")]
    return all(isinstance(part, Tensor) and len(part) == len(channels) for part in tensors)


def _check_reach(network: nn.Module, scaling: ScalingConfig, z_range_nm: Range) -> None:
    """Refuse heights that a network says nothing of and cannot be rescaled to."""
    middle, reach = scaling.z_centre_nm, scaling.z_scale_nm
    room = 1e-3 * reach
    if z_range_nm[0] < middle - reach - room or z_range_nm[1] > middle + reach + room:
        raise NetworkError(
            f"the weights of {type(network).__name__} reach from {middle - reach:.0f} to "
            f"{middle + reach:.0f} nm, but {z_range_nm[0]:.0f} to {z_range_nm[1]:.0f} nm are "
            "wanted, and there is no layer 'out' with one row of weights and a bias per channel to "
            "rescale; name the output layer so, train over fewer heights, or start from nothing"
        )
