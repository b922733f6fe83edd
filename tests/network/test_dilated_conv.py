import pytest
import torch
import torch.nn.functional as F

from napari_dilatedloc.network.dilated_conv import DilatedConv2d


def gradients(function, x, weight):
    x, weight = x.clone().requires_grad_(True), weight.clone().requires_grad_(True)
    y = function(x, weight)
    generator = torch.Generator().manual_seed(1)
    y.backward(torch.randn(y.shape, generator=generator))
    return y.detach(), x.grad, weight.grad


@pytest.mark.parametrize("dilation", [2, 4, 8])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_those_of_conv2d(dilation, layout):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 11, 14, generator=generator).to(memory_format=layout)
    layer = DilatedConv2d(5, 3, dilation)

    def ours(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    def plain(x, weight):
        return F.conv2d(x, weight, padding=dilation, dilation=dilation)

    for mine, expected in zip(
        gradients(ours, x, layer.weight.detach()),
        gradients(plain, x, layer.weight.detach()),
        strict=True,
    ):
        assert torch.allclose(mine, expected, rtol=1e-4, atol=1e-4)


def test_only_training_in_float32_on_a_cpu_takes_the_other_path():
    layer = DilatedConv2d(4, 4, 2)
    x = torch.randn(1, 4, 8, 8)
    assert "DilatedConv" in type(layer(x).grad_fn).__name__
    with torch.no_grad():
        assert layer(x).grad_fn is None
    assert "DilatedConv" not in type(layer.double()(x.double()).grad_fn).__name__
