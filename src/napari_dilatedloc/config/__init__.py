"""Every setting of the house as a frozen pydantic model, with one YAML round trip.

A misspelt key is an error (``extra="forbid"``). A default stands here and nowhere else.
"""

from napari_dilatedloc.config.base import (
    Config,
    ConfigError,
    Range,
    parse_config,
    save_yaml,
)
from napari_dilatedloc.config.camera import (
    BUILT_IN_CAMERAS,
    CameraConfig,
    EMCCDConfig,
    PixelNoise,
    SCMOSConfig,
)
from napari_dilatedloc.config.model import (
    CalibrationConfig,
    ModelInfo,
    ScalingConfig,
)
from napari_dilatedloc.config.psf import (
    FieldPSFConfig,
    FieldSplinePSFConfig,
    GaussianPSFConfig,
    PSFConfig,
    SplinePSFConfig,
    VectorialPSFConfig,
    ZernikeCoefficient,
)
from napari_dilatedloc.config.runs import (
    LocalizeConfig,
    TrainingConfig,
)
from napari_dilatedloc.config.settings import (
    BeadSettings,
    MovieSettings,
    PSFFile,
    PSFSettings,
    Settings,
    load_settings,
    load_yaml,
    save_settings,
)
from napari_dilatedloc.config.simulation import (
    Distribution,
    LifetimeDistribution,
    SimulationConfig,
)

__all__ = [
    "BUILT_IN_CAMERAS",
    "BeadSettings",
    "CalibrationConfig",
    "CameraConfig",
    "Config",
    "ConfigError",
    "Distribution",
    "EMCCDConfig",
    "FieldPSFConfig",
    "FieldSplinePSFConfig",
    "GaussianPSFConfig",
    "LifetimeDistribution",
    "LocalizeConfig",
    "ModelInfo",
    "MovieSettings",
    "PSFConfig",
    "PSFFile",
    "PSFSettings",
    "PixelNoise",
    "Range",
    "SCMOSConfig",
    "ScalingConfig",
    "Settings",
    "SimulationConfig",
    "SplinePSFConfig",
    "TrainingConfig",
    "VectorialPSFConfig",
    "ZernikeCoefficient",
    "load_settings",
    "load_yaml",
    "parse_config",
    "save_settings",
    "save_yaml",
]
