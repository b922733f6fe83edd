"""Networks by name, those of other packages and scripts included, and what they cost.

docs/networks.md tells what a network of your own must offer and how to bring it in.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from napari_dilatedloc.network.baselines.decode import DECODE
from napari_dilatedloc.network.baselines.fd_deeploc import FDDeepLoc
from napari_dilatedloc.network.baselines.liteloc import LiteLoc
from napari_dilatedloc.network.dilatedloc import DilatedLoc
from napari_dilatedloc.network.dilatedloc_2024 import DilatedLoc2024
from napari_dilatedloc.network.output import CHANNELS

logger = logging.getLogger(__name__)

ENTRY_POINTS = "napari_dilatedloc.networks"
"""Group of entry points by which an installed package offers networks."""

Builder = Callable[[], nn.Module]
"""Makes an untrained network; a class without obligatory arguments is one."""


class NetworkError(ValueError):
    """A network that is not there or cannot be used; the message is one sentence."""


class Network(Protocol):
    """What a module must offer to be trained and run here.

    Attributes
    ----------
    window : int
        Frames that one output frame sees; odd, its own frame in the middle.
    multiple : int
        Height and width of the input are multiples of it, px: the largest stride inside.
    halo : int
        Radius of the receptive field, px, rounded up to `multiple`: an output pixel must not
        depend on input farther away than that.
    channels : tuple of str
        Names of the output channels in their order: all of `output.CHANNELS`, where ``bg`` may
        be missing.

    The output layer is best named ``out``, with a row of ``weight`` and ``bias`` for each
    channel: AdamW then trains it and not Muon, and weights can serve another z range.
    """

    window: int
    multiple: int
    halo: int
    channels: tuple[str, ...]

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, T, H, W) normalized photons to raw (B, T - window + 1, C, H, W)."""
        ...


NETWORKS: dict[str, Builder] = {
    "dilatedloc": DilatedLoc,
    "dilatedloc-2024": DilatedLoc2024,
    "fd-deeploc": FDDeepLoc,
    "decode": DECODE,
    "liteloc": LiteLoc,
}
"""The built-in ones."""

_registered: dict[str, Builder] = {}


def register_network(name: str, builder: Builder) -> None:
    """Make a network known by a name until Python ends.

    Parameters
    ----------
    name : str
        What settings and model files call it.
    builder : callable
        Makes the untrained network; usually its class.

    Raises
    ------
    NetworkError
        If the name is taken by another network.
    """
    if _registered.get(name) is builder:
        return
    owners = [f"the package {_package(entry)}" for entry in _installed().get(name, [])]
    if name in NETWORKS:
        owners.append("a built-in network")
    if name in _registered:
        owners.append("a network registered before")
    if owners:
        raise NetworkError(
            f"the name {name!r} is taken by {' and '.join(owners)}; register under another name"
        )
    _registered[name] = builder


def unregister_network(name: str) -> None:
    """Forget a network that `register_network` made known, to register a changed one."""
    if name not in _registered:
        raise NetworkError(f"no network {name!r} was registered; check the name")
    del _registered[name]


def network_names() -> tuple[str, ...]:
    """Names of all networks: built in, registered and installed ones; loads none."""
    return tuple(dict.fromkeys((*NETWORKS, *_registered, *_installed())))


def build_network(name: str) -> nn.Module:
    """Untrained network by name.

    Raises
    ------
    NetworkError
        If there is none of this name, two packages offer it, or it does not load or does not
        follow the protocol.
    """
    if name in NETWORKS:
        return NETWORKS[name]()
    if name in _registered:
        return _checked(name, _registered[name]())
    entries = _installed().get(name, [])
    if not entries:
        raise NetworkError(
            f"no network named {name!r}; use one of {', '.join(network_names())}, or install the "
            "package that brings it"
        )
    if len(entries) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in entries))
        raise NetworkError(
            f"the packages {packages} both offer a network named {name!r}; uninstall one of them"
        )
    return _from_package(entries[0])


def build_all() -> dict[str, nn.Module]:
    """Every network, untrained, by name; what cannot be used is left out with a warning."""
    modules: dict[str, nn.Module] = {}
    for name in network_names():
        try:
            modules[name] = build_network(name)
        except NetworkError as error:
            logger.warning("%s", error)
    for name, entries in _installed().items():
        if name in NETWORKS:
            packages = " and ".join(sorted(_package(entry) for entry in entries))
            logger.warning(
                "the network %r of %s is hidden by the built-in one of that name; ask its authors "
                "to rename it",
                name,
                packages,
            )
    return modules


def _installed() -> dict[str, list[EntryPoint]]:
    """What installed packages offer, by name; more than one is a clash."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, []).append(entry)
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _from_package(entry: EntryPoint) -> nn.Module:
    try:
        return _checked(entry.name, entry.load()())
    except Exception as error:  # other people's code may raise anything
        raise NetworkError(
            f"the network {entry.name!r} of the package {_package(entry)} cannot be used "
            f"({type(error).__name__}: {error}); update or uninstall that package"
        ) from error


def _checked(name: str, module: nn.Module) -> nn.Module:
    """The same module, if it follows the protocol as far as its attributes tell."""
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"network {name!r} must be a torch.nn.Module, got {type(module).__name__}; "
            "register its class or a function that makes it"
        )
    missing = [what for what in Network.__annotations__ if not hasattr(module, what)]
    if missing:
        raise NetworkError(f"network {name!r} does not state {', '.join(missing)}; add that to it")
    network = as_network(module)
    if network.window < 1 or network.window % 2 == 0:
        raise NetworkError(
            f"window of network {name!r} must be odd, got {network.window}; use 3 for one "
            "neighbour on each side"
        )
    if network.multiple < 1 or network.halo < 0:
        raise NetworkError(
            f"network {name!r} must have a multiple of at least 1 px and a halo of at least 0, got "
            f"{network.multiple} and {network.halo}; correct them"
        )
    channels = [*network.channels]
    if sorted(channels if "bg" in channels else [*channels, "bg"]) != sorted(CHANNELS):
        raise NetworkError(
            f"channels of network {name!r} must be {', '.join(CHANNELS)} in any order, with or "
            f"without bg, got {', '.join(channels)}; rename them"
        )
    return module


def as_network(module: nn.Module) -> Network:
    """The same module, typed by the protocol it follows."""
    return cast("Network", module)


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(module: nn.Module, size: int = 128) -> int:
    """Multiply-accumulates for one more frame of a stream of size x size px frames.

    The difference of two runs that differ by one frame is what one frame costs once the stream
    flows, so that features shared by neighbouring windows count once. Convolutions count
    kernel x channels in per output number, batch norms four per number (as the `thop`
    tool counts, which made the paper's Table 3).
    """
    window = as_network(module).window
    return _macs_of_run(module, size, window + 1) - _macs_of_run(module, size, window)


def measure_halo(module: nn.Module, largest: int = 512) -> int:
    """Radius of the receptive field, px, rounded up to `multiple`: what `halo` must be.

    Follows NaN through the network: it spreads to all that depends on a pixel, also past a zero
    weight or a closed ReLU. float64, because fast float32 algorithms mix neighbouring outputs.

    Raises
    ------
    NetworkError
        If an output depends on pixels more than `largest` px away, as with a norm over the frame.
    """
    network = copy.deepcopy(module).cpu().double().eval()
    multiple = as_network(module).multiple
    # Wider than any one layer looks, or a step beyond the strip would not be seen.
    middle = -(-max(as_network(module).halo, 128) // multiple) * multiple + multiple
    while True:
        reach = max(_reach(network, middle, axis) for axis in (2, 3))
        if reach < middle:
            return -(-reach // multiple) * multiple
        if middle > largest:
            raise NetworkError(
                f"an output of {type(module).__name__} depends on pixels more than {largest} px "
                "away; frames could not be cut into tiles, so use layers that look near"
            )
        middle *= 2


@torch.inference_mode()
def _reach(network: nn.Module, middle: int, axis: int) -> int:
    """Farthest output along an axis that rows in the middle of a strip can change, px.

    A stride makes the answer depend on where a row lies in it, so each gets a strip of its own.
    """
    typed = as_network(network)
    multiple = typed.multiple
    shape = multiple, typed.window, 2 * middle + multiple, max(8, multiple)
    frames = torch.zeros(shape, dtype=torch.float64)
    for phase in range(multiple):
        frames[phase, :, middle + phase] = torch.nan
    raw = network(frames if axis == 2 else frames.transpose(2, 3).contiguous())
    touched = raw.isnan().any(2).any(1).any(2 if axis == 2 else 1)  # (phase, along the axis)
    phases, places = torch.nonzero(touched, as_tuple=True)
    return int((places - middle - phases).abs().max()) if len(places) else 0


def _macs_of_run(module: nn.Module, size: int, frames: int) -> int:
    total = 0

    def add(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.BatchNorm2d):
            total += 4 * output.numel()

    handles = [layer.register_forward_hook(add) for layer in module.modules()]
    training = module.training
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, frames, size, size))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return total
