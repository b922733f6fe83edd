"""What is wrong with a calibration, in plain words.

Every check gives one verdict, also when all is well, so that a report shows what was looked at.
"""

from __future__ import annotations

from napari_dilatedloc.psf.bead_checks import (
    check_beads,
    check_consistency,
    check_drift,
    check_saturation,
    check_signal,
)
from napari_dilatedloc.psf.calibration import Calibration
from napari_dilatedloc.psf.spot_checks import (
    check_brightness,
    check_focus,
    check_range,
    check_roi,
    check_stage,
    check_step,
    spot_of,
)
from napari_dilatedloc.psf.verdict import Retrieval, Verdict, graded

__all__ = ["Retrieval", "Verdict", "judge"]
_ORDER = {"problem": 0, "warning": 1, "ok": 2}


def judge(calibration: Calibration, *, retrieval: Retrieval | None = None) -> tuple[Verdict, ...]:
    """Check a calibration.

    Parameters
    ----------
    calibration : Calibration
        Result of `calibrate.calibrate_beads`.
    retrieval : Retrieval, optional
        A vectorial model fitted to the same beads; only it can tell a wrong z step for sure.

    Returns
    -------
    tuple of Verdict
        One for each topic, problems first.
    """
    spot = spot_of(calibration)
    found = [
        check_beads(calibration),
        check_consistency(calibration),
        check_saturation(calibration),
        check_signal(calibration),
        check_range(calibration),
        check_step(calibration, retrieval),
        check_focus(calibration, spot),
        check_roi(calibration, spot),
        check_drift(calibration),
        check_stage(calibration, spot, retrieval),
        check_brightness(calibration, spot),
    ]
    if retrieval is not None:
        found.append(check_model(retrieval))
    return tuple(sorted(found, key=lambda verdict: _ORDER[verdict.level]))


def check_model(retrieval: Retrieval) -> Verdict:
    """Whether the vectorial model describes the beads."""
    value = retrieval.residual
    level = graded(value, 0.05, 0.1)
    found = f"the vectorial model differs from the beads by {value:.1%} of the peak (rms)"
    if level == "ok":
        return Verdict(level, "vectorial model", f"{found.capitalize()}.", value)
    return Verdict(
        level,
        "vectorial model",
        f"{found.capitalize()}; check NA, wavelength, pixel size and refractive indices, fit more "
        "Zernike modes, or use the spline model.",
        value,
    )
