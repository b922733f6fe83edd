"""Every setting of the house as a frozen pydantic model, with one YAML round trip.

A misspelt key is an error (``extra="forbid"``). A default stands here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

Range = tuple[float, float]


class Config(BaseModel):
    """Frozen settings; `replace` gives a changed, validated copy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields changed."""
        return type(self).model_validate({**self.model_dump(), **changes})


class _Camera(Config):
    model_config = ConfigDict(allow_inf_nan=False)

    baseline: float = Field(100.0, ge=0, description="ADU of a pixel without light")
    e_per_adu: float = Field(1.0, gt=0, description="electrons per ADU")
    qe: float = Field(0.9, gt=0, le=1, description="quantum efficiency, 0-1")
    read_noise_e: float = Field(1.5, ge=0, description="read noise, electrons rms")
    spurious_e: float = Field(0.0, ge=0, description="spurious charge, electrons per pixel")
    max_adu: int = Field(65535, gt=0, description="largest ADU the converter gives")

    @model_validator(mode="after")
    def _light_can_be_counted(self) -> Self:
        if self.baseline >= self.max_adu:
            raise ValueError(
                f"baseline must lie below max_adu, got baseline {self.baseline:g} and max_adu "
                f"{self.max_adu}; correct the one that is wrong"
            )
        return self


class EMCCDConfig(_Camera):
    """Electron-multiplying CCD camera."""

    kind: Literal["emccd"] = "emccd"
    em_gain: float = Field(300.0, ge=1, description="electron-multiplying gain")
    e_per_adu: float = Field(45.0, gt=0, description="electrons per ADU after the gain")
    read_noise_e: float = Field(74.4, ge=0, description="read noise after the gain, e rms")
    spurious_e: float = Field(0.002, ge=0, description="spurious charge, electrons per pixel")


class SCMOSConfig(_Camera):
    """Scientific CMOS camera, or a CCD without multiplication."""

    kind: Literal["scmos"] = "scmos"
    e_per_adu: float = Field(0.47, gt=0, description="electrons per ADU")
    maps: str | None = Field(
        None,
        description="file of per-pixel maps of the chip as it was read out, which replace baseline,"
        " e_per_adu, read_noise_e and qe: .npz with arrays of these names, storm-analysis' .npy, or"
        " a .tif of offset (ADU), variance (ADU^2), gain (ADU/e) and optionally relative QE",
    )


CameraConfig = Annotated[EMCCDConfig | SCMOSConfig, Field(discriminator="kind")]


class GaussianPSFConfig(Config):
    """Astigmatic Gaussian spot: width = sigma_nm * sqrt(1 + ((z - focus) / depth_nm)^2)."""

    kind: Literal["gaussian"] = "gaussian"
    pixel_size_nm: float = Field(100.0, gt=0, description="camera pixel, nm")
    roi_size: int = Field(25, ge=7, description="side of the square ROI, px (odd)")
    z_range_nm: Range = Field((-700.0, 700.0), description="z the PSF is used over, nm")
    sigma_nm: float = Field(130.0, gt=0, description="smallest spot width (standard deviation), nm")
    focus_x_nm: float = Field(-200.0, description="z at which the spot is narrowest in x, nm")
    focus_y_nm: float = Field(200.0, description="z at which the spot is narrowest in y, nm")
    depth_nm: float = Field(350.0, gt=0, description="defocus at which the width grows by sqrt 2")


class SplinePSFConfig(Config):
    """Measured PSF as a cubic B-spline volume; the coefficients travel beside this as a tensor."""

    kind: Literal["spline"] = "spline"
    pixel_size_nm: float = Field(gt=0, description="camera pixel, nm")
    roi_size: int = Field(ge=7, description="side of the square ROI, px (odd)")
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
    roi_size: int = Field(31, ge=7, description="side of the square ROI, px (odd)")
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


class PixelNoise(Config):
    """Noise of one camera pixel in photons: ``variance = excess * mean + floor_photons2``.

    The default is pure shot noise. For a camera `camera.Camera.noise` gives it.
    """

    excess: float = Field(1.0, gt=0, description="variance per photon: 1/QE, twice that for EM")
    floor_photons2: float = Field(0.0, ge=0, description="variance without light, photons^2")


Distribution = Literal["uniform", "gamma", "lognormal"]
"""How numbers spread over a (low, high): evenly between them, or with 5% below and 5% above."""

LifetimeDistribution = Literal["exponential", "uniform", "gamma", "lognormal"]
"""How on-times spread about their mean; the shapes are in `simulation.distributions`."""


class SimulationConfig(Config):
    """Blinking molecules over consecutive frames."""

    model_config = ConfigDict(allow_inf_nan=False)

    density_per_um2: Range = Field(
        (0.1, 1.0), description="molecules on per frame and um2; each movie draws from this range"
    )
    density_distribution: Distribution = Field(
        "uniform",
        description="of the density over movies; for gamma and lognormal density_per_um2 are its "
        "5th and 95th percentiles",
    )
    density_contrast: float = Field(
        0.0,
        ge=0,
        le=1,
        description="unevenness of the density over the field; 0: even, 1: from empty regions to "
        "twice the mean",
    )
    photons: Range = Field((500.0, 8000.0), description="photons a frame of a molecule fully on")
    photon_distribution: Distribution = Field(
        "uniform",
        description="of the photons over molecules; for gamma and lognormal photons are its 5th "
        "and 95th percentiles",
    )
    lifetime_frames: float = Field(2.0, gt=0, description="mean on-time, frames")
    lifetime_distribution: LifetimeDistribution = Field(
        "exponential",
        description="of on-times about their mean; uniform: 0 to twice the mean, gamma: shape 2, "
        "lognormal: standard deviation 0.8 of the logarithm",
    )
    bg: Range = Field((10.0, 150.0), description="background, photons per pixel per frame")
    bg_structure: float = Field(
        0.2,
        ge=0,
        le=1,
        description="largest relative variation of the background over the field; each movie "
        "draws between 0 and this",
    )
    bg_octaves: int = Field(
        3, ge=1, le=8, description="sizes of background structure, each half the one before"
    )
    bg_feature_px: float = Field(
        32.0, ge=2, description="size of the largest background structure, px"
    )
    z_range_nm: Range | None = Field(None, description="z of molecules, nm; default: the PSF's")
    min_photons: float = Field(
        100.0, ge=0, description="dimmer emitters are simulated, but no target for the network"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("density_per_um2", "photons", "bg", "z_range_nm"):
            bounds = getattr(self, name)
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} must be (low, high), got {bounds}; swap the two")
        for name in ("density_per_um2", "photons", "bg"):
            if getattr(self, name)[0] < 0:
                raise ValueError(
                    f"{name} cannot be negative, got {getattr(self, name)}; start at 0 or above"
                )
        for name in ("density_per_um2", "photons"):
            if getattr(self, name)[1] == 0:
                raise ValueError(f"{name} must reach above 0, got {getattr(self, name)}; raise it")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        kinds = (("density_per_um2", "density"), ("photons", "photon"))
        for name, what in kinds:
            kind = getattr(self, f"{what}_distribution")
            if kind != "uniform" and getattr(self, name)[0] == 0:
                raise ValueError(
                    f"{name} must start above 0 for {what}_distribution {kind}, whose 5th "
                    f"percentile it is, got {getattr(self, name)}; raise it or choose uniform"
                )
        if self.min_photons > self.photons[1]:
            raise ValueError(
                f"min_photons must not exceed the largest photons, {self.photons[1]:g}, got "
                f"{self.min_photons:g}; lower it, or no molecule would be a target"
            )
        return self


class TrainingConfig(Config):
    """One training run: what is simulated, which network learns it and for how long."""

    network: str = Field("dilatedloc", description="registry name of the network")
    camera: CameraConfig = Field(default_factory=lambda: SCMOSConfig())
    simulation: SimulationConfig = Field(default_factory=lambda: SimulationConfig())
    batch: int | None = Field(
        None, ge=1, description="patches a step; default: as many as fill it for this patch"
    )
    patch: int | None = Field(
        None, ge=16, description="side of a patch, px; default: twice the widest spot"
    )
    frames: int = Field(5, ge=1, description="consecutive frames a patch")
    steps: int = Field(10000, ge=1, description="length of the schedule, steps")
    minutes: float | None = Field(None, gt=0, description="length in minutes instead of steps")
    optimizer: Literal["adamw", "muon"] = Field("muon", description="muon: AdamW for the rest")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate")
    warmup_steps: int = Field(200, ge=0, description="steps until the peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay")
    clip: float = Field(5.0, gt=0, description="largest gradient norm")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weight average")
    validate_every: int = Field(500, ge=1, description="steps between validations")
    validation_frames: int = Field(300, ge=1, description="frames of the fixed validation set")
    validation_per_plane: int = Field(40, ge=1, description="isolated molecules a z plane")
    patience: int | None = Field(
        None, ge=1, description="end after so many validations without a better one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    seed: int = 1

    def for_fine_tuning(self) -> Self:
        """Short and gentle where nothing else was stated: the weights are good already."""
        stated = self.model_fields_set
        length = {"steps", "minutes"} & stated
        gentle = {
            name: value
            for name, value in FINE_TUNING.items()
            if name not in stated and not (name == "minutes" and length)
        }
        return self.model_copy(update=gentle)


FINE_TUNING: dict[str, Any] = {"minutes": 7.0, "learning_rate": 1e-3, "warmup_steps": 50}
"""Defaults that differ when training starts from weights: a quarter of a CPU hour on two cores."""


class LocalizeConfig(Config):
    """One localization run."""

    threshold: float | None = Field(
        None, gt=0, lt=1, description="smallest detection probability; default: the model's"
    )
    frames: tuple[int, int] | None = Field(None, description="frames A:B, half-open, from 0")
    roi: tuple[int, int, int, int] | None = Field(None, description="y0, x0, y1, x1 in px")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    block_frames: int = Field(64, ge=1, description="frames read at a time")
    batch_frames: int = Field(8, ge=1, description="frames the network sees at a time")
    tile_size: int = Field(1024, ge=64, description="largest side of a tile without halo, px")
    prefetch_blocks: int = Field(3, ge=2, description="buffers between reader and network")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16 only takes effect on devices that are fast at it"
    )


class ScalingConfig(Config):
    """How photons and nm become numbers of order one, and back."""

    input_offset: float = Field(description="photons taken off each pixel")
    input_scale: float = Field(gt=0, description="photons that become 1 in the network's input")
    z_scale_nm: float = Field(gt=0, description="z that is 1 in the network's output, nm")
    z_centre_nm: float = Field(description="z that is 0 in the network's output, nm")
    photon_scale: float = Field(gt=0, description="photons that are 1 in the network's output")
    bg_scale: float = Field(gt=0, description="background that is 1 in the network's output")


class CalibrationConfig(Config):
    """Factors on a network's output that make its error bars and photons true on average.

    Each applies to what the network says: ``sigma_x`` is multiplied by the factor of that name,
    photons by ``photons``. They are fitted after training (`training.calibration`).
    """

    sigma_x: float = Field(1.0, gt=0, description="factor on the predicted error of x")
    sigma_y: float = Field(1.0, gt=0, description="factor on the predicted error of y")
    sigma_z: float = Field(1.0, gt=0, description="factor on the predicted error of z")
    sigma_photons: float = Field(1.0, gt=0, description="factor on the predicted photon error")
    photons: float = Field(1.0, gt=0, description="factor on the photons")


class ModelInfo(Config):
    """What travels with weights in a model file."""

    format_version: Literal[1] = 1
    network: str
    scaling: ScalingConfig
    camera: CameraConfig
    psf: PSFConfig
    simulation: SimulationConfig
    calibration: CalibrationConfig = Field(default_factory=lambda: CalibrationConfig())
    threshold: float = Field(0.5, gt=0, lt=1, description="detection probability by default")
    seed: int = 0
    steps: int = 0
    cpu_hours: float = Field(0.0, description="CPU time of training, start weights included")
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    test_set: str = Field("", description="what the metrics were measured on")

    @property
    def pixel_size_nm(self) -> float:
        """Camera pixel the weights were trained for, nm."""
        return self.psf.pixel_size_nm

    @property
    def z_range_nm(self) -> Range:
        """Range of z the weights were trained for, nm."""
        return self.simulation.z_range_nm or self.psf.z_range_nm


class ConfigError(ValueError):
    """Settings that cannot be used; the message is one sentence."""


def parse_config(kind: Any, values: Any, source: str) -> Any:
    """Validate plain values as a `kind` (a model or a union); `source` names them in errors."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ConfigError(
            f"{source}: {where}: {first['msg']}, got {first['input']!r}; correct this entry"
        ) from error


def load_yaml(kind: Any, path: str | Path) -> Any:
    """Read a config of the given kind (a model or a union such as `CameraConfig`) from YAML."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file of settings: {error}") from error
    return parse_config(kind, values if values is not None else {}, str(path))


def save_yaml(config: Config, path: str | Path) -> None:
    """Write a config as YAML that `load_yaml` reads back to an equal value."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")
