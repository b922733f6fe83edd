"""Drift by redundant cross-correlation (RCC).

After Wang, Schnitzbauer, Hu, Li, Cheng, Huang and Huang, Optics Express 22, 15982 (2014): images of
all segments of the movie are correlated with one another, and the drift is what agrees best with
the shifts of all pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_dilatedloc.analysis.drift.pairs import all_pairs, solve_pairs
from napari_dilatedloc.analysis.drift.segments import Positions, Segments, cut_by_rows, to_frames

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex64]

FEWEST = 200
ENOUGH = 3000
"""Localizations of a segment: at least, and those that decide how many segments there are."""

MOST_SEGMENTS = 40
PASSES = 2
"""The second sees segments that are no longer blurred by the drift within them."""

MOST_CELLS = 2048
"""Side of an image in cells; a larger field is folded onto it."""

FINE = 8
"""Steps of the fine search in a cell of the correlation."""

COLUMN_NM = 60.0
"""Side of the columns whose profiles along z are correlated."""

COLUMNS_AT_ONCE = 4096


def rcc(
    positions: Positions, *, bin_nm: float, max_shift_nm: float, segments: int | None = None
) -> tuple[Array, int]:
    """Measure drift by RCC.

    Parameters
    ----------
    positions : Positions
        Localizations.
    bin_nm : float
        Pixel of the images.
    max_shift_nm : float
        Largest shift between two segments.
    segments : int, optional
        Default: as many as have 3000 localizations each, 10 to 40.

    Returns
    -------
    drift : ndarray, (T, 3)
        x, y, z in nm, one row a frame.
    segments : int
        How many there were.
    """
    parts = cut_by_rows(positions.frame, segments, ENOUGH, MOST_SEGMENTS, FEWEST)
    drift = np.zeros((positions.n_frames, 3))
    for _ in range(PASSES):
        shifts = _lateral(positions.moved(drift), parts, bin_nm, max_shift_nm)
        drift[:, :2] += _in_frames(shifts, parts, positions.n_frames)
    for _ in range(PASSES if positions.axial else 0):
        shifts = _axial(positions.moved(drift), parts, bin_nm, max_shift_nm)
        drift[:, 2:] += _in_frames(shifts[:, None], parts, positions.n_frames)
    return drift, len(parts)


def _in_frames(shifts: Array, parts: Segments, n_frames: int) -> Array:
    """Drift of every frame, (T, A), from the shifts of all pairs, (P, A)."""
    found = np.stack([solve_pairs(column, len(parts)) for column in shifts.T], axis=1)
    return to_frames(found, parts, n_frames)


def _lateral(nm: Array, parts: Segments, bin_nm: float, max_shift_nm: float) -> Array:
    """Shifts x, y of all pairs in nm, (P, 2)."""
    low = nm[:, :2].min(axis=0)
    reach = np.ptp(nm[:, :2], axis=0) + 2 * max_shift_nm  # room, so that nothing wraps around
    width, height = (
        fft.next_fast_len(min(int(side / bin_nm) + 4, MOST_CELLS)) // 4 * 4 for side in reach
    )
    cell = np.floor((nm[:, :2] - low) / bin_nm).astype(np.int64)
    places = np.mod(cell[:, 1], height) * width + np.mod(cell[:, 0], width)
    blur = _blur(height, width)
    spectra = []
    for rows in parts.slices():
        image = np.bincount(places[rows], minlength=height * width).astype(np.float32)
        spectra.append(_halved(fft.rfft2(image.reshape(height, width))) * blur)
    shape = (height // 2, width // 2)
    step = 2 * bin_nm
    furthest = max_shift_nm / step
    first, second = all_pairs(len(parts))
    found = [
        _peak(np.conj(spectra[i]) * spectra[j], shape, furthest)
        for i, j in zip(first, second, strict=True)
    ]
    return np.array(found) * step


def _halved(spectrum: Spectrum) -> Spectrum:
    """Spectrum (H, W // 2 + 1) of the same image with cells twice as large, without aliasing."""
    height, width = spectrum.shape[0], 2 * (spectrum.shape[1] - 1)
    rows = np.r_[0 : height // 4, height - height // 4 : height]
    return np.ascontiguousarray(spectrum[rows, : width // 4 + 1])


def _blur(height: int, width: int) -> NDArray[np.float32]:
    """Gaussian of one cell in the band that `_halved` leaves; the mean of the image is 0."""
    y = fft.fftfreq(height // 2) / 2
    x = fft.rfftfreq(width // 2) / 2
    blur = np.exp(-2 * np.pi**2 * (y[:, None] ** 2 + x**2)).astype(np.float32)
    blur[0, 0] = 0
    return np.asarray(blur)


def _peak(cross: Spectrum, shape: tuple[int, int], furthest: float) -> tuple[float, float]:
    """Highest point (x, y) of a correlation in cells, from its spectrum.

    First the highest cell, then the correlation itself between the cells, which its spectrum knows
    exactly (Guizar-Sicairos et al. 2008, Optics Letters 33:156), and a parabola through that.
    """
    reach = [int(min(furthest, side // 2 - 1)) for side in shape]
    image = fft.irfft2(cross, shape)
    near = [np.arange(-far, far + 1) for far in reach]
    window = image[np.ix_(near[0], near[1])]
    row, column = np.unravel_index(int(np.argmax(window)), window.shape)
    y, x = float(near[0][row]), float(near[1][column])
    for _ in range(2):
        fine = np.arange(-FINE // 2, FINE // 2 + 1) / FINE
        values = _between(cross, shape, y + fine, x + fine)
        step_y, step_x = _parabola(values, fine)
        y, x = y + step_y, x + step_x
    return x, y


def _between(cross: Spectrum, shape: tuple[int, int], y: Array, x: Array) -> Array:
    """Correlation at any places y (M,) and x (N,) in cells, (M, N)."""
    frequency_y, frequency_x = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])
    left = np.exp(2j * np.pi * y[:, None] * frequency_y).astype(np.complex64)
    right = np.exp(2j * np.pi * frequency_x[:, None] * x).astype(np.complex64)
    right[1:] *= 2  # the half of the spectrum that is not kept
    return np.asarray((left @ cross @ right).real, dtype=np.float64)


def _parabola(values: Array, at: Array) -> tuple[float, float]:
    """Place (y, x) of the top of a paraboloid through values (M, M), no further than they reach."""
    y, x = (part.ravel() for part in np.meshgrid(at, at, indexing="ij"))
    terms = np.stack([np.ones_like(x), y, x, y * y, x * x, x * y], axis=1)
    _, by, bx, cyy, cxx, cxy = np.linalg.lstsq(terms, values.ravel(), rcond=None)[0]
    bend = np.array([[2 * cyy, cxy], [cxy, 2 * cxx]])
    if np.linalg.eigvalsh(bend).max() >= 0:  # no top
        return 0.0, 0.0
    top = np.clip(np.linalg.solve(bend, [-by, -bx]), at[0], at[-1])
    return float(top[0]), float(top[1])


def _axial(nm: Array, parts: Segments, bin_nm: float, max_shift_nm: float) -> Array:
    """Shifts z of all pairs in nm, (P,), x and y corrected.

    The field is cut into narrow columns. Their profiles along z are correlated, each with that of
    the same column in the other segment, and summed; one product of matrices for every frequency
    does this for all columns and pairs.
    """
    depth = int((np.ptp(nm[:, 2]) + 2 * max_shift_nm) / bin_nm) + 2
    depth = fft.next_fast_len(depth, real=True)
    z = np.floor((nm[:, 2] - nm[:, 2].min()) / bin_nm).astype(np.int64)
    cell = np.floor((nm[:, :2] - nm[:, :2].min(axis=0)) / COLUMN_NM).astype(np.int64)
    _, column = np.unique(cell[:, 1] * (cell[:, 0].max() + 1) + cell[:, 0], return_inverse=True)
    segment = parts.of_rows()
    order = np.argsort(column, kind="stable")
    column, z, segment = column[order], z[order], segment[order]
    cross = np.zeros((depth // 2 + 1, len(parts), len(parts)), dtype=np.complex128)
    at_once = max(1, COLUMNS_AT_ONCE * 64 // (len(parts) * depth) * 16)
    for start in range(0, int(column[-1]) + 1, at_once):
        a, b = np.searchsorted(column, [start, start + at_once])
        place = (segment[a:b] * at_once + column[a:b] - start) * depth + z[a:b]
        profiles = np.bincount(place, minlength=len(parts) * at_once * depth).astype(np.float32)
        spectra = fft.rfft(profiles.reshape(len(parts), at_once, depth)).transpose(2, 0, 1)
        cross += np.conj(spectra) @ spectra.transpose(0, 2, 1)
    return _tops(cross, depth, bin_nm, max_shift_nm)


def _tops(cross: NDArray[np.complex128], depth: int, bin_nm: float, furthest_nm: float) -> Array:
    """Highest points of the correlations along z, nm, (P,)."""
    frequency = fft.rfftfreq(depth)
    cross = cross * np.exp(-4 * np.pi**2 * 1.5**2 * frequency**2)[:, None, None]
    cross[0] = 0
    first, second = all_pairs(cross.shape[1])
    finer = 4
    curves = fft.irfft(cross[:, first, second], finer * depth, axis=0)
    reach = int(min(furthest_nm / bin_nm, depth // 2 - 1) * finer)
    window = np.arange(-reach, reach + 1)
    near = curves[window]
    top = np.clip(np.argmax(near, axis=0), 1, len(window) - 2)
    pair = np.arange(len(first))
    below, middle, above = near[top - 1, pair], near[top, pair], near[top + 1, pair]
    bend = below - 2 * middle + above
    shift = np.where(bend < 0, (below - above) / np.where(bend < 0, 2 * bend, 1), 0.0)
    return np.asarray((window[top] + np.clip(shift, -1, 1)) * bin_nm / finer)
