"""Training settings from an estimate."""

from __future__ import annotations

from napari_dilatedloc.config import CameraConfig, Range, SimulationConfig, TrainingConfig
from napari_dilatedloc.matching.estimate import MovieEstimate, Spread

BG_MARGIN = 1.5
"""Background is trained from its low over this to its high times this."""
PHOTON_MARGIN = 1.5
PHOTON_ROOM, PHOTON_ROOM_FEW = 2.0, 4.0
"""Least factor from the median of the photons to both ends of what is trained; with few spots."""
DENSITY_MARGIN = 2.0
LOWEST_DENSITY_PER_UM2 = 0.01
Z_MARGIN, Z_ROOM_NM = 0.15, 50.0
"""Part of the range of z found that is added at both ends, and the least of it: dim molecules of a
thin layer are found that far from it."""
WHOLE_Z = 0.7
"""From this part of the PSF's range of z on, all of it is trained."""
FEWEST_FITS = 50


def training_config(
    estimate: MovieEstimate,
    camera: CameraConfig,
    psf_z_range_nm: Range,
    base: TrainingConfig | None = None,
) -> TrainingConfig:
    """Settings whose simulation covers the movie with some room.

    Background and photons (5th to 95th percentile) get a factor of 1.5 at both ends, photons at
    least 2 from the median (4 with fewer than 50 spots fitted) and down to the dimmest spots
    seen, density a factor of 2. Range of z: the PSF's, unless the movie fills less than 70% of it;
    then what it fills and 15% of that, at least 50 nm, at both ends. Photons are drawn evenly, so
    that bright and dim molecules are learned alike. All else is left as in `base`.

    Parameters
    ----------
    estimate : MovieEstimate
        Of the movie.
    camera : CameraConfig
        That recorded it.
    psf_z_range_nm : tuple of float
        Range of the PSF, nm.
    base : TrainingConfig, optional
        Settings to start from; default: the built-in ones.
    """
    base = base if base is not None else TrainingConfig()
    old = base.simulation
    photons = _photons(estimate)
    low, high = _widened(estimate.density_per_um2, DENSITY_MARGIN)
    low = max(low, LOWEST_DENSITY_PER_UM2)
    simulation = old.replace(
        bg=_widened(estimate.bg, BG_MARGIN),
        photons=photons,
        photon_distribution="uniform",
        density_per_um2=(low, max(high, 2 * low)),
        density_distribution="uniform",
        lifetime_frames=_rounded(estimate.lifetime_frames or old.lifetime_frames),
        z_range_nm=_z_range(estimate, psf_z_range_nm),
        min_photons=min(old.min_photons, photons[0]),
    )
    # a copy that knows what was stated: the length of a fine-tuning is still open
    return base.model_copy(update={"camera": camera, "simulation": simulation})


def _widened(spread: Spread, factor: float) -> Range:
    return _rounded(spread.low / factor), _rounded(spread.high * factor)


def _photons(estimate: MovieEstimate) -> Range:
    low, high = _widened(estimate.photons, PHOTON_MARGIN)
    middle = estimate.photons.median
    room = PHOTON_ROOM if estimate.fits >= FEWEST_FITS else PHOTON_ROOM_FEW
    lowest = min(low, _rounded(middle / room), _rounded(estimate.dimmest))
    return lowest, max(high, _rounded(middle * room))


def _rounded(value: float) -> float:
    """Three digits, for people who read the file."""
    return float(f"{value:.3g}")


def _z_range(estimate: MovieEstimate, whole: Range) -> Range | None:
    low, high = estimate.z_range_nm
    if estimate.fits < FEWEST_FITS or high - low >= WHOLE_Z * (whole[1] - whole[0]):
        return None
    room = max(Z_MARGIN * (high - low), Z_ROOM_NM)
    return max(whole[0], _rounded(low - room)), min(whole[1], _rounded(high + room))


def uncovered(estimate: MovieEstimate, simulation: SimulationConfig) -> list[tuple[str, float]]:
    """What of a movie some settings do not cover.

    Returns
    -------
    list of (str, float)
        Name of the quantity and the factor from the settings' nearest end to the movie's median:
        3 where the movie has three times more than what is trained, 1/3 where it has a third.
    """
    found = []
    for name in ("bg", "photons", "density_per_um2"):
        middle = getattr(estimate, name).median
        low, high = getattr(simulation, name)
        if middle > high:
            found.append((name, middle / max(high, 1e-9)))
        elif middle < low:
            found.append((name, middle / low))
    return found
