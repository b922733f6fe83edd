"""Model files: weights, the PSF they were trained for and all settings in one safetensors file.

Layout: tensors ``network.<name>`` (state of the network) and ``psf.<name>`` (what the PSF needs
besides its settings); metadata entry ``dilatedloc`` holds a `ModelInfo` as JSON. No pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_dilatedloc.config import CameraConfig, ModelInfo
from napari_dilatedloc.files import replacing
from napari_dilatedloc.network.registry import build_network
from napari_dilatedloc.network.shipped import SUFFIX, ModelFileError, find_model


@dataclass(frozen=True)
class Model:
    """A network ready to localize, with what it was trained for.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, on one device.
    info : ModelInfo
        Camera, PSF, ranges and scaling of the training.
    psf_tensors : dict of Tensor
        What rebuilds the PSF beside ``info.psf``.
    name : str
        Shipped name or path the model came from.
    sha256 : str
        Hash of the file.
    """

    network: nn.Module
    info: ModelInfo
    psf_tensors: dict[str, Tensor]
    name: str
    sha256: str

    def to(self, device: torch.device | str) -> Model:
        """Same model with its network on another device."""
        return replace(self, network=self.network.to(device))

    def with_camera(self, camera: CameraConfig) -> Model:
        """Same model for movies of another camera; the network sees photons in any case."""
        return replace(self, info=self.info.replace(camera=camera.model_dump()))


def save_model(
    path: str | Path, network: nn.Module, info: ModelInfo, psf_tensors: Mapping[str, Tensor]
) -> None:
    """Write a model file; it appears whole or not at all."""
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ModelFileError(f"model files end in {SUFFIX}, got {path.name}; rename the output")
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"psf.{k}": v for k, v in psf_tensors.items()}
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with replacing(path) as partial:
        save_file(plain, partial, metadata={"dilatedloc": info.model_dump_json()})


def load_model(name_or_path: str | Path, device: torch.device | str = "cpu") -> Model:
    """Model by shipped name or path, ready to localize.

    Raises
    ------
    ModelFileError
        If there is no such file or it was not written by `save_model`.
    """
    path = find_model(name_or_path)
    info, tensors = _read(path)
    network = build_network(info.network)
    weights = {k.removeprefix("network."): v for k, v in tensors.items() if k[:8] == "network."}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path.name}: the weights do not fit the network {info.network!r} of this version; "
            "retrain or use the version that wrote it"
        ) from error
    psf = {k.removeprefix("psf."): v for k, v in tensors.items() if k[:4] == "psf."}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network = network.to(device).eval().requires_grad_(False)
    return Model(network, info, psf, str(name_or_path), digest)


def _read(path: Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("dilatedloc")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path.name} is not a model file (expected safetensors); choose one made by "
            "'dilatedloc train'"
        ) from error
    if header is None:
        raise ModelFileError(
            f"{path.name} holds weights but no DilatedLoc settings; choose one made by "
            "'dilatedloc train'"
        )
    try:
        return ModelInfo.model_validate_json(header), tensors
    except ValidationError as error:
        raise ModelFileError(
            f"{path.name} was written by another version: its settings do not fit; retrain it or "
            "use the version that wrote it"
        ) from error
