"""What is odd about a movie, its camera settings and its PSF, in plain words."""

from __future__ import annotations

import math

import numpy as np

from napari_dilatedloc.camera import Camera
from napari_dilatedloc.config import EMCCDConfig, SimulationConfig
from napari_dilatedloc.matching.background import noise_ratio_in_time, transfer_line
from napari_dilatedloc.matching.compare import Comparison
from napari_dilatedloc.matching.estimate import Matched
from napari_dilatedloc.matching.orientation import Orientation
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.matching.settings import uncovered
from napari_dilatedloc.psf.base import PSF
from napari_dilatedloc.psf.verdict import Verdict, graded

PIXEL_SIZE_TOLERANCE = 0.05
GAIN_WARNING, GAIN_PROBLEM = 1.35, 1.8
CHI2_WARNING, CHI2_PROBLEM = 1.2, 1.6
OVERLAP_WARNING, OVERLAP_PROBLEM = 0.85, 0.7
POWER_WARNING, POWER_SCATTER = 2.0, 5.0
"""Power rests on few bright spots near focus: between movies of n spots its logarithm scatters by
5 / sqrt(n) (measured: 0.31 at 250 spots)."""
SATURATED_PROBLEM = 1e-5
FEW_FITS = 50
MANY_MISSED = 0.6
AT_ENDS = 0.15
NAMES = {"bg": "background", "photons": "photons", "density_per_um2": "density"}


def camera_verdicts(sample: MovieSample, matched: Matched) -> list[Verdict]:
    """Baseline, saturation and gain."""
    return [_baseline(sample), _saturation(sample), _gain(sample, matched)]


def psf_verdicts(
    matched: Matched,
    psf: PSF,
    orientation: Orientation,
    gain: float,
    pixel_size_nm: float | None,
) -> list[Verdict]:
    """Pixel size, residuals, orientation, range and direction of z.

    Parameters
    ----------
    matched : Matched
        Estimate with its fits.
    psf : PSF
        That was fitted.
    orientation : Orientation
        From `find_orientation`.
    gain : float
        Factor by which photons come out too large (`gain_factor`); taken off the residuals.
    pixel_size_nm : float or None
        Camera pixel of the movie; None where unknown.
    """
    return [
        _pixel_size(psf, pixel_size_nm),
        _residual(matched, gain),
        _orientation(orientation),
        _z_sign(orientation),
        _z_range(matched, psf),
    ]


def frame_verdicts(
    matched: Matched, comparison: Comparison, settings: SimulationConfig | None = None
) -> list[Verdict]:
    """How like the simulated frames are, what the estimate rests on, and what settings miss."""
    found = [_likeness(comparison, matched.estimate.spots), _evidence(matched)]
    if settings is not None:
        found += _coverage(matched, settings)
    return found


def _baseline(sample: MovieSample) -> Verdict:
    """No pixel can be darker than one without light, but for its read noise."""
    camera = sample.camera
    read = camera.read_noise_e / camera.e_per_adu
    below = (sample.adu - camera.baseline).flatten()
    dark = float(np.quantile(below[:: max(1, below.numel() // 1_000_000)].numpy(), 0.001))
    noise = float(read.median())
    baseline = float(sample.chip.baseline.median())
    if dark >= -4 * noise - 1:
        return Verdict("ok", "baseline", f"No pixels far below the baseline ({baseline:.4g} ADU).")
    right = baseline + dark + 3 * noise
    return Verdict(
        "problem",
        "baseline",
        f"Baseline above the darkest pixels: one pixel in a thousand lies below "
        f"{baseline + dark:.4g} ADU, but a pixel without light has {baseline:.4g} ADU in the "
        f"camera settings; set the baseline to {max(right, 0):.4g} ADU or less, or use the movie "
        "as recorded if something was subtracted from it.",
        value=dark,
    )


def _saturation(sample: MovieSample) -> Verdict:
    top = float(sample.adu.max())
    count = int((sample.adu >= top).sum())
    full = sample.chip.config.max_adu
    ends_at_power = top >= 255 and float(np.log2(top + 1)).is_integer() and count > 20
    if top < full and not ends_at_power:
        return Verdict("ok", "saturation", f"No saturated pixels (brightest {top:.5g} ADU).")
    share = count / sample.adu.numel()
    return Verdict(
        "problem" if share > SATURATED_PROBLEM else "warning",
        "saturation",
        f"Camera saturates: {count} of the pixels looked at are at {top:.5g} ADU; record with "
        "less gain or light, or expect wrong photons and positions of the brightest molecules.",
        value=share,
    )


def gain_factor(sample: MovieSample, matched: Matched) -> float | None:
    """Factor by which photons come out too large, from noise against mean of the background.

    With a background that differs over the field the slope of variance against mean tells, which
    knows no baseline; otherwise the variance over that of the simulated frames. None where the
    movie has single frames only.
    """
    noise = sample.chip.noise
    line = transfer_line(matched.real.background)
    if line is not None:
        other = transfer_line(matched.simulated.background)
        return line[0] / (noise.excess if other is None else other[0])
    (real, cells), (simulated, _) = (
        noise_ratio_in_time(look.background, noise.excess, noise.floor_photons2)
        for look in (matched.real, matched.simulated)
    )
    return real / simulated if cells and simulated > 0 else None


def photons_per_adu(camera: Camera) -> float:
    """Photons of one count more in a typical pixel."""
    return float(camera.e_per_adu.median()) / camera.em_gain / float(camera.qe.median())


def _gain(sample: MovieSample, matched: Matched) -> Verdict:
    factor = gain_factor(sample, matched)
    if factor is None:
        return Verdict("ok", "gain", "Gain not checked: it takes consecutive frames.", None, False)
    camera = sample.chip
    stated = float(camera.e_per_adu.median())
    per_adu = photons_per_adu(camera)
    level = graded(max(factor, 1 / factor), GAIN_WARNING, GAIN_PROBLEM)
    found = f"{per_adu / factor:.3g} photons per ADU (settings: {per_adu:.3g})"
    if level == "ok":
        sentence = f"The background's noise agrees with the camera's gain: {found}."
        return Verdict(level, "gain", sentence, factor)
    em = " or em_gain" if isinstance(camera.config, EMCCDConfig) else ""
    often, way = (factor, "more") if factor > 1 else (1 / factor, "less")
    return Verdict(
        level,
        "gain",
        f"Gain looks wrong: the background is {often:.1f}x {way} noisy (variance) than the camera "
        f"settings say, as with {found}; correct e_per_adu to {stated / factor:.3g}{em}, unless "
        "baseline or read noise are wrong or the movie was filtered or averaged.",
        value=factor,
    )


def _pixel_size(psf: PSF, pixel_size_nm: float | None) -> Verdict:
    own = psf.config.pixel_size_nm
    if pixel_size_nm is None:
        text = f"Pixel size not checked: the movie does not state it; the PSF's is {own:.4g} nm."
        return Verdict("ok", "pixel size", text, None, False)
    ratio = pixel_size_nm / own
    if abs(ratio - 1) <= PIXEL_SIZE_TOLERANCE:
        return Verdict("ok", "pixel size", f"Movie and PSF have {own:.4g} nm pixels.", ratio)
    return Verdict(
        "problem",
        "pixel size",
        f"Pixel size differs: the movie has {pixel_size_nm:.4g} nm, the PSF {own:.4g} nm; give "
        "the right one with --pixel-size-nm or calibrate with the movie's pixels.",
        ratio,
    )


def _residual(matched: Matched, gain: float) -> Verdict:
    real, simulated = matched.real.fit, matched.simulated.fit
    if real is None or simulated is None:
        return Verdict("ok", "psf", "PSF not checked: no spot stands alone.", None, False)
    ratio = float(np.median(real.chi2) / np.median(simulated.chi2)) / gain
    level = graded(ratio, CHI2_WARNING, CHI2_PROBLEM)
    spots = len(real.fit)
    if level == "ok":
        text = f"PSF fits: residuals of {spots} spots are {ratio:.2f}x those of simulated ones."
        return Verdict(level, "psf", text, ratio)
    return Verdict(
        level,
        "psf",
        f"PSF does not fit{' well' if level == 'warning' else ''}: residuals (chi-square) of "
        f"{spots} spots are {ratio:.1f}x those of simulated ones; calibrate with beads of the same "
        "day and depth, and see the other findings.",
        ratio,
    )


def _orientation(found: Orientation) -> Verdict:
    if not found.telling:
        text = "Orientation not checked: turning this PSF gives no other images."
        return Verdict("ok", "orientation", text, None, False)
    if found.spots == 0:
        text = "Orientation not checked: too few spots."
        return Verdict("ok", "orientation", text, None, False)
    if found.best is None:
        text = f"The PSF lies in the movie as it is calibrated ({found.spots} spots)."
        return Verdict("ok", "orientation", text, found.share)
    word = "mirrored" if "mirrored" in found.best else "turned"
    return Verdict(
        "problem",
        "orientation",
        f"PSF looks {word}: {found.share:.0%} of {found.spots} spots fit better with the PSF "
        f"{found.best}; save beads and movie the same way round, or turn one of them.",
        found.share,
    )


def _z_sign(found: Orientation) -> Verdict:
    """Said always, because no single image holds the direction of z."""
    also = (
        "; mirrored or turned, this PSF looks the same as with z turned around"
        if found.like_z_turned
        else ""
    )
    text = f"Direction of z not checked: single images cannot tell it{also}. Check it with a step."
    return Verdict("ok", "z sign", text, None, False)


def _z_range(matched: Matched, psf: PSF) -> Verdict:
    low, high = psf.config.z_range_nm
    fit = matched.real.fit
    if fit is None or high <= low:
        return Verdict("ok", "z range", "Range of z not checked.", None, False)
    z_nm = fit.fit.z_nm[fit.good]
    room = 0.02 * (high - low)
    share = float(np.mean((z_nm < low + room) | (z_nm > high - room))) if len(z_nm) else 0.0
    if share <= AT_ENDS:
        text = f"{1 - share:.0%} of the spots lie inside the PSF's range of z."
        return Verdict("ok", "z range", text, share)
    return Verdict(
        "warning",
        "z range",
        f"{share:.0%} of the spots lie at the ends of the PSF's range of z ({low:.0f} to "
        f"{high:.0f} nm); calibrate over a larger range, or move the focus.",
        share,
    )


def _likeness(comparison: Comparison, count: int) -> Verdict:
    overlap = comparison.overlap
    spots, noise = comparison.power_ratio
    chance = math.exp(2 * POWER_SCATTER / math.sqrt(count))
    level = graded(1 - overlap, 1 - OVERLAP_WARNING, 1 - OVERLAP_PROBLEM)
    if level == "ok" and max(spots, 1 / spots) > POWER_WARNING * chance:
        level = "warning"
    share = f"their histograms share {overlap:.0%}"
    if level == "ok":
        return Verdict(level, "frames", f"Simulated frames look real: {share}.", overlap)
    return Verdict(
        level,
        "frames",
        f"Simulated frames differ from the real ones: {share}; real power is {spots:.2g}x in "
        f"coarse and {noise:.2g}x in fine structure; look at the picture and the other findings.",
        overlap,
    )


def _evidence(matched: Matched) -> Verdict:
    estimate = matched.estimate
    rests = f"{estimate.spots} spots, {estimate.fits} of them fitted, in {estimate.frames} frames"
    if estimate.fits < FEW_FITS:
        text = f"Few spots: the estimate rests on {rests}; take more frames or check the ranges."
        return Verdict("warning", "evidence", text, float(estimate.fits))
    if estimate.missed > MANY_MISSED:
        text = (
            f"{estimate.missed:.0%} of the molecules are too dim or too close to be seen one by "
            "one: density and photons are extrapolated; check the ranges."
        )
        return Verdict("warning", "evidence", text, estimate.missed)
    return Verdict("ok", "evidence", f"The estimate rests on {rests}.", float(estimate.fits))


def _coverage(matched: Matched, settings: SimulationConfig) -> list[Verdict]:
    """What the settings given would not train."""
    return [
        Verdict(
            "problem" if max(ratio, 1 / ratio) > 2 else "warning",
            f"settings: {name}",
            f"{NAMES[name].capitalize()} {max(ratio, 1 / ratio):.1f}x too "
            f"{'low' if ratio > 1 else 'high'} in the settings: the movie has about "
            f"{getattr(matched.estimate, name).median:.3g}, trained would be "
            f"{' to '.join(f'{v:.3g}' for v in getattr(settings, name))}; take the new settings.",
            ratio,
        )
        for name, ratio in uncovered(matched.estimate, settings)
    ]
