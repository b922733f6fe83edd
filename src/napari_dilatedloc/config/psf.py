"""PSFs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from napari_dilatedloc.config.base import Config, Range


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"must be odd, so that one pixel is the middle, got {side}; add 1")
    return side


OddSide = Annotated[int, AfterValidator(_odd)]
"""Side of a square around a pixel, px."""


class GaussianPSFConfig(Config):
    """Astigmatic Gaussian spot: width = sigma_nm * sqrt(1 + ((z - focus) / depth_nm)^2)."""

    kind: Literal["gaussian"] = "gaussian"
    pixel_size_nm: float = Field(100.0, gt=0, description="camera pixel, nm")
    roi_size: OddSide = Field(25, ge=7, description="side of the square ROI, px (odd)")
    z_range_nm: Range = Field((-700.0, 700.0), description="z the PSF is used over, nm")
    sigma_nm: float = Field(130.0, gt=0, description="smallest spot width (standard deviation), nm")
    focus_x_nm: float = Field(-200.0, description="z at which the spot is narrowest in x, nm")
    focus_y_nm: float = Field(200.0, description="z at which the spot is narrowest in y, nm")
    depth_nm: float = Field(350.0, gt=0, description="defocus at which the width grows by sqrt 2")


class SplinePSFConfig(Config):
    """Measured PSF as a cubic B-spline volume; the coefficients travel beside this as a tensor."""

    kind: Literal["spline"] = "spline"
    pixel_size_nm: float = Field(gt=0, description="camera pixel, nm")
    roi_size: OddSide = Field(ge=7, description="side of the square ROI, px (odd)")
    z_range_nm: Range = Field(description="z the PSF is used over, nm")
    z_min_nm: float = Field(description="z of the first knot, nm")
    z_step_nm: float = Field(gt=0, description="distance of knots in z, nm")
    oversampling: int = Field(1, ge=1, le=4, description="knots per pixel along y and x")


class FieldSplinePSFConfig(SplinePSFConfig):
    """Spline volumes at the nodes of a grid on the chip; between them images are interpolated."""

    kind: Literal["field-spline"] = "field-spline"  # type: ignore[assignment]
    rows_px: tuple[float, ...] = Field(min_length=1, description="y of the grid's nodes, chip px")
    columns_px: tuple[float, ...] = Field(min_length=1, description="x of the nodes, chip px")


ZernikeCoefficient = tuple[int, int, float]
"""(n, m, nm rms): radial order, azimuthal frequency (negative: sine) and size of one mode."""


class VectorialPSFConfig(Config):
    """High-NA PSF of a freely rotating dipole behind layers of medium, cover slip and immersion.

    Lengths are nm in the sample. z = 0 lies `depth_nm` above the cover slip, where the objective is
    focused (paraxially); z grows away from the cover slip. With `scan` "emitter" the molecule
    moves in the medium; with "stage" it stays at `depth_nm` and the stage moves, as in a bead
    stack, so that the path changes in the immersion.
    """

    kind: Literal["vectorial"] = "vectorial"
    pixel_size_nm: float = Field(108.0, gt=0, description="camera pixel, nm")
    roi_size: OddSide = Field(31, ge=7, description="side of the square ROI, px (odd)")
    z_range_nm: Range = Field((-700.0, 700.0), description="z the PSF is used over, nm")
    na: float = Field(1.5, gt=0, description="numerical aperture")
    wavelength_nm: float = Field(670.0, gt=0, description="emission wavelength in vacuum, nm")
    n_medium: float = Field(1.406, ge=1, description="refractive index around the molecules")
    n_cover: float = Field(1.524, ge=1, description="refractive index of the cover slip")
    n_immersion: float = Field(1.518, ge=1, description="refractive index of the immersion")
    depth_nm: float = Field(0.0, ge=0, description="height of z = 0 above the cover slip, nm")
    scan: Literal["emitter", "stage"] = Field("emitter", description="what moves along z")
    zernike_nm: tuple[ZernikeCoefficient, ...] = Field(
        (), description="aberrations as (n, m, nm rms), Noll normalization"
    )
    blur_y_px: float = Field(0.5, ge=0, description="Gaussian blur along y, px, pixel included")
    blur_x_px: float = Field(0.5, ge=0, description="Gaussian blur along x, px, pixel included")
    n_pupil: int = Field(64, ge=16, description="pupil samples along a diameter")

    @model_validator(mode="after")
    def _light_arrives(self) -> Self:
        if self.na >= min(self.n_cover, self.n_immersion):
            raise ValueError(
                f"na must be smaller than n_cover and n_immersion, got na {self.na}, n_cover "
                f"{self.n_cover}, n_immersion {self.n_immersion}; correct them"
            )
        return self


class FieldPSFConfig(Config):
    """Vectorial PSF whose aberrations change over the chip.

    The coefficients stand on a coarse grid of chip positions and travel beside this as a tensor
    (rows, columns, modes), nm rms; between the grid's nodes they are interpolated.
    """

    kind: Literal["field"] = "field"
    optics: VectorialPSFConfig = Field(description="all that does not change over the chip")
    modes: tuple[tuple[int, int], ...] = Field(description="(n, m) of each coefficient")
    rows_px: tuple[float, ...] = Field(min_length=1, description="y of the grid's nodes, chip px")
    columns_px: tuple[float, ...] = Field(min_length=1, description="x of the nodes, chip px")

    @property
    def pixel_size_nm(self) -> float:
        """Camera pixel, nm."""
        return self.optics.pixel_size_nm

    @property
    def roi_size(self) -> int:
        """Side of the square ROI, px."""
        return self.optics.roi_size

    @property
    def z_range_nm(self) -> Range:
        """Range of z the PSF is used over, nm."""
        return self.optics.z_range_nm


PSFConfig = Annotated[
    GaussianPSFConfig
    | SplinePSFConfig
    | FieldSplinePSFConfig
    | VectorialPSFConfig
    | FieldPSFConfig,
    Field(discriminator="kind"),
]
