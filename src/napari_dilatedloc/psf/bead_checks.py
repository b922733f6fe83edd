"""Checks of the beads of a calibration: how many, how alike, how bright, drifting, saturated."""

from __future__ import annotations

import numpy as np

from napari_dilatedloc.psf.calibration import Calibration
from napari_dilatedloc.psf.verdict import Verdict, graded

FEW_BEADS = 3
DIM_SNR = 20.0
TOO_DIM_SNR = 8.0


def check_beads(calibration: Calibration) -> Verdict:
    """How many beads there are, and how many could not be used."""
    kept, rejected = len(calibration.kept), len(calibration.beads) - len(calibration.kept)
    used = f"{kept} of {kept + rejected} beads used" if rejected else f"{_count(kept)} used"
    why = sorted({bead.reason for bead in calibration.beads if not bead.kept})
    reasons = f" (rejected: {'; '.join(why[:4])}{'; ...' if len(why) > 4 else ''})" if why else ""
    if kept == 1:
        return Verdict(
            "warning",
            "beads",
            f"{used}{reasons}: with a single bead nothing shows whether it is typical, whole or "
            "drifting; record at least 3.",
            1.0,
        )
    if kept < FEW_BEADS:
        return Verdict(
            "warning",
            "beads",
            f"{used}{reasons}: two can disagree, but not show which of them is wrong; record at "
            "least 3.",
            float(kept),
        )
    if kept < rejected:
        return Verdict(
            "warning",
            "beads",
            f"{used}{reasons}: most were rejected; look at them before trusting the others.",
            float(kept),
        )
    return Verdict("ok", "beads", f"{used}{reasons}.", float(kept))


def check_consistency(calibration: Calibration) -> Verdict:
    """Whether the beads agree with each other beyond their noise."""
    kept = calibration.kept
    if len(kept) < 2:
        return Verdict(
            "ok", "consistency", "Not checked: it takes two beads to compare.", checked=False
        )
    worst = max(kept, key=lambda bead: _mismatch(calibration, bead.snr, bead.residual))
    value = _mismatch(calibration, worst.snr, worst.residual)
    level = graded(value, 0.03, 0.08)
    found = (
        f"the kept beads differ from their average by up to {value:.1%} of the peak (rms, noise of "
        "the background taken off)"
    )
    if level == "ok":
        return Verdict(level, "consistency", f"{found.capitalize()}.", value)
    return Verdict(
        level,
        "consistency",
        f"Bead at y {worst.y:.1f}, x {worst.x:.1f}: {found}; a cluster, drift, or aberrations that "
        "change over the field of view: use fewer beads nearer to each other, or raise "
        "min_correlation.",
        value,
    )


def _mismatch(calibration: Calibration, snr: float, residual: float) -> float:
    """Residual of a bead without the part that the noise of dark pixels explains."""
    return float(np.sqrt(max(residual**2 - 1.0 / snr**2, 0.0)))


def check_signal(calibration: Calibration) -> Verdict:
    """Whether the beads stand out of the noise at every z."""
    if calibration.background_removed:
        return Verdict(
            "warning",
            "signal",
            "Most pixels hold one and the same value: somebody subtracted the background and "
            "clipped it, which cuts off faint tails of the spot and hides the noise; calibrate "
            "from the raw stack if you can.",
        )
    peaks = calibration.measured.max(axis=(1, 2)) / calibration.measured.max()
    typical = float(np.median([bead.snr for bead in calibration.kept]))
    weakest = typical * float(np.quantile(peaks, 0.05))
    total = weakest * np.sqrt(len(calibration.kept))
    level = "problem" if typical < TOO_DIM_SNR else "warning" if total < DIM_SNR / 4 else "ok"
    level = "warning" if level == "ok" and typical < DIM_SNR else level
    found = (
        f"the brightest pixel of a bead is {typical:.0f} times the noise of a dark pixel at its "
        f"best z and {weakest:.1f} times at its worst"
    )
    if level == "ok":
        return Verdict("ok", "signal", f"{found.capitalize()}.", typical)
    return Verdict(
        "problem" if level == "problem" else "warning",
        "signal",
        f"Low signal: {found}, so noise goes into the model; use brighter beads, longer exposure, "
        "several frames per slice, or more beads.",
        typical,
    )


def check_saturation(calibration: Calibration) -> Verdict:
    """Whether pixels were clipped at the camera's largest value."""
    clipped = [bead for bead in calibration.beads if bead.saturated]
    used = [bead for bead in clipped if bead.kept]
    worst = max((bead.saturated for bead in clipped), default=0)
    if used:
        return Verdict(
            "problem",
            "saturation",
            f"{len(used)} of the beads used {_are(len(used))} saturated (up to {worst} clipped "
            "pixels in a slice), so the model is too flat near focus; record again with less "
            "light or shorter exposure.",
            float(worst),
        )
    if clipped:
        return Verdict(
            "warning",
            "saturation",
            f"{len(clipped)} saturated {_beads(len(clipped))} left out; use less light or shorter "
            "exposure.",
            float(worst),
        )
    return Verdict("ok", "saturation", "No pixel is clipped.", 0.0)


def check_drift(calibration: Calibration) -> Verdict:
    """Whether single beads move relative to the others."""
    kept = calibration.kept
    if len(kept) < 2:
        return Verdict("ok", "drift", "Not checked: it takes two beads to compare.", checked=False)
    worst = max(kept, key=lambda bead: bead.drift_nm)
    value = worst.drift_nm
    gone = [bead for bead in calibration.beads if bead.reason.startswith("moved by")]
    if value > max(25.0, 4 * worst.drift_sigma_nm):
        return Verdict(
            "warning",
            "drift",
            f"The bead at y {worst.y:.1f}, x {worst.x:.1f} moves by {value:.0f} nm over the stack "
            "relative to the others: it is loose, or the spot tilts differently over the field.",
            value,
        )
    if gone:
        return Verdict(
            "warning",
            "drift",
            f"{len(gone)} drifting {_beads(len(gone))} left out; beads should stick to the cover "
            "slip.",
            max(bead.drift_nm for bead in gone),
        )
    return Verdict(
        "ok", "drift", f"Beads move by at most {value:.0f} nm relative to each other.", value
    )


def _count(number: int) -> str:
    return "1 bead" if number == 1 else f"{number} beads"


def _beads(number: int) -> str:
    return "bead was" if number == 1 else "beads were"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
