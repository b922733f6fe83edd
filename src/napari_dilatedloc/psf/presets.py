"""The PSFs that come with the package, by name.

`astigmatism` has 70 nm of (2, 2). `saddle-point`, `tetrapod-3um` and `tetrapod-6um` are pupils
made for a small Cramer-Rao bound over 1.4, 3 and 6 um (Shechtman et al., Phys. Rev. Lett. 113,
133902 (2014); with a deformable mirror: Fu et al., Nat. Methods 20, 459 (2023)). The saddle point
is the set measured on the mirror, given in waves of 670 nm; the tetrapods are the designs, in nm.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from napari_dilatedloc.config import VectorialPSFConfig, ZernikeCoefficient
from napari_dilatedloc.psf.formats.vectorfit import from_li_lab
from napari_dilatedloc.psf.zernike import MODES_21

SADDLE_POINT_WAVES = (
    *(0.12148456, 0.00108541, -0.01320412, -0.0140747, -0.03182168, -0.01063529, -0.01636443),
    *(-0.05272095, -0.00969356, 0.0241506, -0.0160361, -0.00260201, -0.00078228, -0.00255994),
    *(0.0055783, 0.00828868, 0.04018608, 0.00207674, -0.02517455, 0.02524482, -0.01050033),
)
TETRAPOD_6UM_NM = (
    *(52.76, 0, -0.13, -0.13, -0.15, -0.51, 0.51, -269.21, 0, 1.5, 1.5, -0.22, 0, -0.02, 0, 0),
    *(-27.07, 0, 0.52, 0.52, -0.04),
)


def _all_21(sizes: tuple[float, ...], unit_nm: float = 1.0) -> tuple[ZernikeCoefficient, ...]:
    """Coefficients in the published order of 21 and with its axes; zeros are left out."""
    published = tuple((n, m, v * unit_nm) for (n, m), v in zip(MODES_21, sizes, strict=True) if v)
    return from_li_lab(published)


def _focus_depth_nm(stage_nm: float, n_medium: float, n_immersion: float) -> float:
    """Height of the paraxial focus when the objective is moved by `stage_nm` into the sample."""
    return stage_nm * n_medium / n_immersion


ASTIGMATISM = VectorialPSFConfig(
    pixel_size_nm=100.0,
    roi_size=31,
    z_range_nm=(-700.0, 700.0),
    na=1.49,
    wavelength_nm=660.0,
    n_medium=1.518,
    n_cover=1.518,
    n_immersion=1.518,
    depth_nm=800.0,
    zernike_nm=from_li_lab(((2, 2, 70.0),)),
)
SADDLE_POINT = VectorialPSFConfig(
    pixel_size_nm=110.0,
    roi_size=31,
    z_range_nm=(-700.0, 700.0),
    na=1.5,
    wavelength_nm=670.0,
    n_medium=1.406,
    n_cover=1.524,
    n_immersion=1.518,
    depth_nm=_focus_depth_nm(800.0, 1.406, 1.518),
    zernike_nm=_all_21(SADDLE_POINT_WAVES, unit_nm=670.0),
    blur_y_px=0.57691746,
    blur_x_px=0.6749699,
)
TETRAPOD_3UM = VectorialPSFConfig(
    pixel_size_nm=110.0,
    roi_size=41,
    z_range_nm=(-1500.0, 1500.0),
    na=1.35,
    wavelength_nm=670.0,
    n_medium=1.406,
    n_cover=1.524,
    n_immersion=1.406,
    depth_nm=1500.0,
    zernike_nm=from_li_lab(((2, -2, 107.17), (4, -2, -155.68), (6, -2, -10.47))),
)
TETRAPOD_6UM = TETRAPOD_3UM.replace(
    pixel_size_nm=108.0,
    roi_size=51,
    z_range_nm=(-3000.0, 3000.0),
    depth_nm=3000.0,
    zernike_nm=_all_21(TETRAPOD_6UM_NM),
    n_pupil=100,
)

PRESETS: Mapping[str, VectorialPSFConfig] = MappingProxyType(
    {
        "astigmatism": ASTIGMATISM,
        "saddle-point": SADDLE_POINT,
        "tetrapod-3um": TETRAPOD_3UM,
        "tetrapod-6um": TETRAPOD_6UM,
    }
)
