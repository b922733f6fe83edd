"""Networks as ONNX files, for programs that know no torch. Needs the extra ``[onnx]``."""

from __future__ import annotations

import copy
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_dilatedloc.files import replacing
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.registry import as_network

SUFFIX = ".onnx"
OPSET = 17
"""Version of the operators: of 2022, which runtimes read for years."""


FREE = {"frames": {2: "height", 3: "width"}, "raw": {3: "height", 4: "width"}}
"""Names of the sizes that may vary. Not the number of frames: without a word, the exporter makes a
constant of it where frames are told apart (measured with two of the networks here)."""


class OnnxExportError(ValueError):
    """An export that cannot be done; the message is one sentence."""


def export_onnx(model: Model, path: str | Path, size: int = 64, frames: int = 8) -> bool:
    """Write a model's network as an ONNX file; it appears whole or not at all.

    Input ``frames`` (1, T, H, W), normalized photons as `output.normalize` gives them, output
    ``raw`` (1, T - window + 1, C, H, W), to be read as `output.activate` and `decode` do. Both are
    float32. T is fixed; H and W are free, except for networks that use a size as a plain number.

    Parameters
    ----------
    model : Model
        As `load_model` gives it.
    path : str or Path
        Ends in .onnx.
    size : int
        Side of the frames that are followed through the network, px; rounded up to its stride.
    frames : int
        Their number, without neighbours: what every call of the file gives.

    Returns
    -------
    bool
        Whether H and W are free; otherwise they are `size`.

    Raises
    ------
    OnnxExportError
        If the name ends otherwise, the package onnx is missing, or the network does something
        ONNX has no operator for.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise OnnxExportError(f"ONNX files end in {SUFFIX}, got {path.name}; rename the output")
    if find_spec("onnx") is None:
        raise OnnxExportError(
            "exporting needs the package onnx, which is not installed; install it with "
            "pip install 'napari-dilatedloc[onnx]'"
        )
    network = as_network(model.network)
    side = -(-size // network.multiple) * network.multiple
    module = copy.deepcopy(model.network).eval().cpu()
    example = torch.zeros(1, frames + network.window - 1, side, side)
    try:
        with replacing(path) as partial:
            free = _write(module, example, partial, FREE)
            if not free:
                _write(module, example, partial, {})
    except RuntimeError as error:  # the exporter's errors are derived from it
        raise OnnxExportError(
            f"the network {model.info.network!r} cannot be written as ONNX "
            f"({str(error).strip().splitlines()[0]}); change that layer"
        ) from error
    return free


def _write(module: nn.Module, example: Tensor, path: Path, free: dict[str, dict[int, str]]) -> bool:
    """Write the file; False if the network made a plain number of a size on the way."""
    with warnings.catch_warnings(record=True) as seen:
        # The exporter by tracing is deprecated, but it asks for one package less, and sizes stay
        # free without being told how the network uses them.
        warnings.simplefilter("always")
        torch.onnx.export(
            module,
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["frames"],
            output_names=["raw"],
            dynamic_axes=free,
        )
    baked = torch.jit.TracerWarning  # type: ignore[attr-defined]
    return not any(issubclass(warning.category, baked) for warning in seen)
