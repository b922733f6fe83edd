"""Where a run begins: fresh weights, or those of a model for another PSF."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from napari_dilatedloc.config import ModelInfo, PSFConfig, Range, ScalingConfig
from napari_dilatedloc.network.checkpoint import Model, load_model
from napari_dilatedloc.network.registry import as_network, build_network
from napari_dilatedloc.network.shipped import available_models, read_info

FAR = 1.5  # a model whose PSF is less alike is no better a start than nothing


def fresh_network(name: str, seed: int) -> nn.Module:
    """Untrained network with the weights of a seed; the global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # layers draw their weights from the global generator
        return build_network(name)


def distance(psf: PSFConfig, info: ModelInfo) -> float:
    """How unlike a PSF is to the one a model was trained for; 0 is alike.

    Compares what a network must adapt to: the depth of the z range and the size of the spot, as
    ratios.
    """
    depth = _log_ratio(
        psf.z_range_nm[1] - psf.z_range_nm[0], info.z_range_nm[1] - info.z_range_nm[0]
    )
    size = _log_ratio(psf.roi_size * psf.pixel_size_nm, info.psf.roi_size * info.psf.pixel_size_nm)
    return depth + size


def nearest(psf: PSFConfig, network: str, models: dict[str, ModelInfo]) -> str | None:
    """Name of the model to start from, or None where all are too unlike.

    Parameters
    ----------
    psf : PSFConfig
        What is to be learnt.
    network : str
        Only models of this network can serve.
    models : dict of ModelInfo
        By name.
    """
    usable = {name: info for name, info in models.items() if info.network == network}
    ranked = sorted(usable, key=lambda name: distance(psf, usable[name]))
    return ranked[0] if ranked and distance(psf, usable[ranked[0]]) < FAR else None


def choose_start(init: str, psf: PSFConfig, network: str) -> Model | None:
    """Model to start from, or None to start from nothing.

    Parameters
    ----------
    init : str
        "auto" for the nearest of the shipped models, "none", or the name or path of a model.
    psf : PSFConfig
        What is to be learnt.
    network : str
        Registry name; only shipped models of this network can serve.
    """
    if init == "none":
        return None
    if init != "auto":
        return load_model(init)
    shipped = {name: read_info(name) for name in available_models()}
    chosen = nearest(psf, network, shipped)
    return load_model(chosen) if chosen else None


def adapted(
    network: nn.Module, scaling: ScalingConfig, z_range_nm: Range
) -> tuple[nn.Module, ScalingConfig]:
    """Copy of a network whose z output reaches over another range, and its scaling.

    The output is linear around its middle, so the rows of z and of its sigma are rescaled: the
    copy says the same heights in nm as before, as far as they lie inside the new range.
    """
    low, high = z_range_nm
    new = scaling.replace(z_scale_nm=(high - low) / 2, z_centre_nm=(high + low) / 2)
    copied = copy.deepcopy(network)
    ratio = scaling.z_scale_nm / new.z_scale_nm
    shift = (scaling.z_centre_nm - new.z_centre_nm) / new.z_scale_nm
    out = copied.get_submodule("out")
    channels = as_network(copied).channels
    with torch.no_grad():
        z = channels.index("z")
        out.weight[z] *= ratio  # type: ignore[index, operator]
        out.bias[z] = out.bias[z] * ratio + shift  # type: ignore[index, operator]
        # softplus is about exp far below zero, where the sigmas of a trained network lie
        out.bias[channels.index("sigma_z")] += math.log(ratio)  # type: ignore[index, operator]
    return copied, new


def _log_ratio(a: float, b: float) -> float:
    return abs(math.log(a / b))
