"""Which localizations are one and the same blink."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from napari_dilatedloc.config.base import Config


class LinkingConfig(Config):
    """One merging of blinks over frames."""

    distance_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="largest lateral distance; default: from the precision of both",
    )
    axial_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="largest axial distance; default: from the precision, or any with distance_nm",
    )
    sigmas: float = Field(
        4.0,
        gt=0,
        allow_inf_nan=False,
        description="largest distance in standard deviations of the difference; 4 loses 1 of 3000",
    )
    limit_nm: float = Field(
        150.0,
        gt=0,
        allow_inf_nan=False,
        description="never further apart laterally, however imprecise both are",
    )
    dark_frames: int = Field(1, ge=0, description="frames in which a molecule may be missing")

    def settings(self) -> dict[str, Any]:
        """All that took effect, as plain values for a recipe."""
        unused = {"sigmas", "limit_nm"} if self.distance_nm is not None else {"distance_nm"}
        if self.axial_nm is None:
            unused = unused | {"axial_nm"}
        return self.model_dump(mode="json", exclude=unused)
