import pytest
import torch
from torch import nn

from napari_dilatedloc.network.registry import build_network
from napari_dilatedloc.training.muon import Muon, orthogonalized, split_parameters


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (12, 12)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalized(torch.stack([matrix, 3 * matrix]))
    assert torch.allclose(found[0], found[1], atol=1e-4)  # each by itself
    found = found[0]
    in_basis = u.t() @ found @ vt.t()
    assert torch.allclose(in_basis, torch.diag(in_basis.diag()), atol=1e-4)
    assert in_basis.diag().min() > 0.3  # the iteration is known to end between 0.7 and 1.2
    assert in_basis.diag()[s > 0.2 * s.max()].min() > 0.6
    assert in_basis.diag().max() < 1.3


def test_a_step_has_the_stated_size():
    weight = nn.Parameter(torch.zeros(16, 8, 3, 3))
    optimizer = Muon([weight], lr=0.01)
    weight.grad = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.3)


def test_it_solves_a_least_squares_problem():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(4, 6, generator=generator)
    weight = nn.Parameter(torch.zeros(4, 6))
    optimizer = Muon([weight], lr=0.3)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 200)
        x = torch.randn(6, 32, generator=generator)
        optimizer.zero_grad()
        (weight @ x - truth @ x).square().mean().backward()
        optimizer.step()
    assert torch.allclose(weight.detach(), truth, atol=0.05)


def test_every_weight_of_the_network_has_one_optimizer():
    network = build_network("dilatedloc")
    matrices, others = split_parameters(network)
    ids = [id(p) for p in matrices + others]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())
    assert all(p.ndim == 4 for p in matrices)
    assert id(network.out.weight) in {id(p) for p in others}
