import pytest
import torch

from napari_dilatedloc.psf.zernike import MODES_21, basis, disc, noll_to_mode, zernike


def test_modes_are_orthonormal_on_the_disc():
    y, x, share = disc(200)
    modes = basis(((0, 0), (1, 1), (1, -1), (2, 0), *MODES_21), y, x)
    products = torch.einsum("ivu,jvu,vu->ij", modes, modes, share) / share.sum()
    torch.testing.assert_close(products, torch.eye(len(products), dtype=y.dtype), atol=8e-3, rtol=0)


@pytest.mark.parametrize(
    ("mode", "formula"),
    [
        ((1, 1), lambda r, phi: 2 * r * torch.cos(phi)),
        ((1, -1), lambda r, phi: 2 * r * torch.sin(phi)),
        ((2, 2), lambda r, phi: 6**0.5 * r**2 * torch.cos(2 * phi)),
        ((2, -2), lambda r, phi: 6**0.5 * r**2 * torch.sin(2 * phi)),
        ((3, 1), lambda r, phi: 8**0.5 * (3 * r**3 - 2 * r) * torch.cos(phi)),
        ((4, 0), lambda r, phi: 5**0.5 * (6 * r**4 - 6 * r**2 + 1)),
    ],
)
def test_values_are_those_of_nolls_table(mode, formula):
    r, phi = torch.rand(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phi = phi * 6.28
    expected = formula(r, phi)
    torch.testing.assert_close(zernike(*mode, r * torch.sin(phi), r * torch.cos(phi)), expected)


def test_noll_numbers():
    first = [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3)]
    assert [noll_to_mode(i) for i in range(1, 11)] == first
    assert noll_to_mode(11) == (4, 0)
    assert noll_to_mode(22) == (6, 0)
    assert len({noll_to_mode(i) for i in range(1, 46)}) == 45


def test_the_disc_has_its_area():
    _, _, share = disc(64)
    assert share.sum().item() * (2 / 64) ** 2 == pytest.approx(torch.pi, rel=1e-3)


@pytest.mark.parametrize("mode", [(2, 1), (1, 3), (-1, 1)])
def test_pairs_that_are_no_mode_are_refused(mode):
    one = torch.ones(1)
    with pytest.raises(ValueError, match=r"n - \|m\| even"):
        zernike(*mode, one, one)


def test_nolls_index_counts_from_one():
    with pytest.raises(ValueError, match="counts from 1, got 0"):
        noll_to_mode(0)
