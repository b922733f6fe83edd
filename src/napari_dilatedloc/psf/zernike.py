"""Zernike polynomials on the unit disc, normalized after Noll: each has mean square 1.

A coefficient is then the wavefront's rms of that mode (Noll, J. Opt. Soc. Am. 66, 207 (1976)). A
mode is (n, m): radial order and azimuthal frequency; m < 0 is the sine.
"""

from __future__ import annotations

from math import factorial, sqrt

import torch
from torch import Tensor

Mode = tuple[int, int]

MODES_21: tuple[Mode, ...] = (
    (2, -2),
    (2, 2),
    (3, -1),
    (3, 1),
    (4, 0),
    (3, -3),
    (3, 3),
    (4, -2),
    (4, 2),
    (5, -1),
    (5, 1),
    (6, 0),
    (4, -4),
    (4, 4),
    (5, -3),
    (5, 3),
    (6, -2),
    (6, 2),
    (7, 1),
    (7, -1),
    (8, 0),
)
"""The modes that calibrations of engineered PSFs use, in the order of published tables: up to order
8 in steps of n + |m|, without piston, tilt and defocus."""


def check_mode(n: int, m: int) -> None:
    """Refuse pairs that name no Zernike polynomial."""
    if n < 0 or abs(m) > n or (n - abs(m)) % 2:
        raise ValueError(
            f"a Zernike mode needs n >= |m| and n - |m| even, got n {n}, m {m}; "
            "name it like (2, 2) or (4, -2)"
        )


def noll_to_mode(index: int) -> Mode:
    """Mode of Noll's single index, from 1 (piston); (2, 2) is 6, (2, -2) is 5."""
    if index < 1:
        raise ValueError(f"Noll's index counts from 1, got {index}; piston is 1")
    n = 0
    while (n + 1) * (n + 2) // 2 < index:
        n += 1
    place = index - n * (n + 1) // 2  # 1 ... n + 1
    m = 2 * (place // 2) if n % 2 == 0 else 2 * ((place - 1) // 2) + 1
    return (n, m if index % 2 == 0 else -m)


def zernike(n: int, m: int, y: Tensor, x: Tensor) -> Tensor:
    """Values of one mode.

    Parameters
    ----------
    n, m : int
        Radial order and azimuthal frequency.
    y, x : Tensor
        Places on the pupil, 1 at its rim, any one shape.

    Returns
    -------
    Tensor
        Same shape; outside the disc the polynomial goes on.
    """
    check_mode(n, m)
    radius2 = x**2 + y**2
    order = abs(m)
    radial = torch.zeros_like(x)
    for k in range((n - order) // 2 + 1):
        term = (-1) ** k * factorial(n - k) / factorial(k)
        term /= factorial((n + order) // 2 - k) * factorial((n - order) // 2 - k)
        radial = radial + term * radius2 ** ((n - order) // 2 - k)
    # rho^m cos(m phi) and sin(m phi) as polynomials, so that no angle is needed at the centre
    turned = torch.complex(x, y) ** order if order else torch.ones_like(torch.complex(x, y))
    angular = turned.imag if m < 0 else turned.real
    norm = sqrt(n + 1) if m == 0 else sqrt(2 * (n + 1))
    return norm * radial * angular


def basis(modes: tuple[Mode, ...], y: Tensor, x: Tensor) -> Tensor:
    """Stack of several modes, (M, *shape)."""
    if not modes:
        return x.new_zeros((0, *x.shape))
    return torch.stack([zernike(n, m, y, x) for n, m in modes])


def disc(samples: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Square grid over the unit disc: y, x of the cell centres and the share of each cell inside.

    Shares at the rim (from 16 x 16 points a cell) make sums over the grid converge faster than
    whole cells would. All are (samples, samples).
    """
    centres = (torch.arange(samples, dtype=dtype) + 0.5) * (2 / samples) - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    parts = ((torch.arange(16, dtype=dtype) + 0.5) / 16 - 0.5) * (2 / samples)
    fine = (centres[:, None] + parts).flatten()
    inside = (fine[:, None] ** 2 + fine[None] ** 2 <= 1).to(dtype)
    share = inside.view(samples, 16, samples, 16).mean(dim=(1, 3))
    return y, x, share
