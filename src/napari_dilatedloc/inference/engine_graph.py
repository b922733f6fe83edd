"""Networks as graphs: batch norms folded into convolutions, first and last layers left exact.

Works on whatever `torch.fx` can trace, which is most networks; the others run as they are.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node, Tracer
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_dilatedloc.network.registry import as_network

logger = logging.getLogger(__name__)

SAME = 1e-4
"""Largest difference of two ways to compute the same, relative to the largest number: twenty
times what folding and other orders of summation were measured to change in float32."""
TRIAL_PX = 32
"""Side of the frames on which two ways are compared, px; rounded up to the network's stride."""


class _Tracer(Tracer):
    """Takes every convolution as one layer, those with a `forward` of their own too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


class ExactLayer(nn.Module):
    """A convolution in float32 whatever the autocast.

    Parameters
    ----------
    layer : nn.Conv2d
        The convolution.
    first : bool
        Whether what follows computes in the autocast's type, which the result then gets.
    """

    def __init__(self, layer: nn.Conv2d, *, first: bool) -> None:
        super().__init__()
        self.layer = layer
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any floating type to what the layer gives."""
        kind = x.device.type
        lower = self.first and torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False):
            result: Tensor = self.layer(x.float())
        return result.to(torch.get_autocast_dtype(kind)) if lower else result


def prepare(network: nn.Module) -> nn.Module:
    """A copy of a network that computes the same in float32 with fewer layers.

    Batch norms that follow a convolution are folded into it. Under an autocast the first and the
    last convolutions stay in float32: frames have more bits than bfloat16 (8), and so do
    positions. Where the network cannot be traced, or the graph gives other numbers, this is a
    plain copy.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; left untouched.
    """
    plain = copy.deepcopy(network).eval()
    try:
        root = copy.deepcopy(plain)
        graph = GraphModule(root, _Tracer().trace(root))
        _fold_batch_norms(graph)
        _keep_ends_exact(graph)
        graph.delete_all_unused_submodules()
        graph.graph.lint()
        graph.recompile()
        same = gives_the_same(graph, plain, trial_frames(plain))
    except Exception as error:  # tracing runs other people's code on what is no tensor
        reason = str(error).strip().split("\n")[0]
        logger.info("%s cannot be traced (%s): it runs as it is.", type(network).__name__, reason)
        return plain
    if not same:
        logger.info("%s gives other numbers as a graph: it runs as it is.", type(network).__name__)
        return plain
    return graph


def trial_frames(network: nn.Module, *, larger: bool = False) -> Tensor:
    """Noise on which two ways to run a network are compared, (1, T, H, W).

    The larger ones differ in every number of their shape.
    """
    n = as_network(network)
    side = -(-TRIAL_PX // n.multiple) * n.multiple
    more = (1, n.multiple, 2 * n.multiple) if larger else (0, 0, 0)
    shape = (1, n.window + 1 + more[0], side + more[1], side + more[2])
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)


@torch.inference_mode()
def gives_the_same(
    one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], frames: Tensor
) -> bool:
    """Whether two ways to run a network agree in float32."""
    a, b = one(frames), other(frames)
    if a.shape != b.shape:
        return False
    return bool((a - b).abs().max() <= SAME * b.abs().max().clamp(min=SAME))


def _fold_batch_norms(graph: GraphModule) -> None:
    """Fold every batch norm that alone takes what a convolution gives into that convolution."""
    layers = dict(graph.named_modules())
    calls = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    for node in list(graph.graph.nodes):
        before = _only_input(node)
        if before is None or before.op != "call_module" or len(before.users) > 1:
            continue
        names = str(before.target), str(node.target)
        conv, norm = (layers[name] for name in names)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if norm.running_mean is None or any(calls[name] > 1 for name in names):
            continue
        layers[names[0]] = fuse_conv_bn_eval(conv, norm)
        _exchange(graph, names[0], layers[names[0]])
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)


def _keep_ends_exact(graph: GraphModule) -> None:
    """Wrap the convolutions that see no other's result, and those whose result no other sees."""
    layers = dict(graph.named_modules())
    nodes = [
        node
        for node in graph.graph.nodes
        if node.op == "call_module" and isinstance(layers[str(node.target)], nn.Conv2d)
    ]
    order = list(graph.graph.nodes)  # inputs stand before what uses them
    before = _reached(order, set(nodes), lambda node: node.all_input_nodes)
    after = _reached(order[::-1], set(nodes), lambda node: list(node.users))
    for name in dict.fromkeys(str(node.target) for node in nodes):
        mine = [node for node in nodes if node.target == name]
        last = not any(node in after for node in mine)
        first = not any(node in before for node in mine)
        layer = layers[name]
        if (first or last) and isinstance(layer, nn.Conv2d):
            _exchange(graph, name, ExactLayer(layer, first=first and not last))


def _reached(
    order: list[Node], sources: set[Node], near: Callable[[Node], list[Node]]
) -> set[Node]:
    """Nodes from which one of `sources` is reached by one step or more; the near come first."""
    reached: set[Node] = set()
    for node in order:
        if any(other in sources or other in reached for other in near(node)):
            reached.add(node)
    return reached


def _only_input(node: Node) -> Node | None:
    if node.op == "call_module" and len(node.all_input_nodes) == 1:
        return node.all_input_nodes[0]
    return None


def _exchange(graph: GraphModule, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(graph.get_submodule(parent), own, layer)
