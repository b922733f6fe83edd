"""Every setting of the house as a frozen pydantic model, with one YAML round trip.

A misspelt key is an error (``extra="forbid"``). A default stands here and nowhere else.
"""

from napari_dilatedloc.config.base import (
    Config,
    ConfigError,
    Range,
    load_yaml,
    parse_config,
    save_yaml,
)
from napari_dilatedloc.config.camera import (
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
from napari_dilatedloc.config.simulation import (
    Distribution,
    LifetimeDistribution,
    SimulationConfig,
)

__all__ = [
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
    "PSFConfig",
    "PixelNoise",
    "Range",
    "SCMOSConfig",
    "ScalingConfig",
    "SimulationConfig",
    "SplinePSFConfig",
    "TrainingConfig",
    "VectorialPSFConfig",
    "ZernikeCoefficient",
    "load_yaml",
    "parse_config",
    "save_yaml",
]
