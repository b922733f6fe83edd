"""What is a cluster of localizations."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from napari_dilatedloc.config.base import Config


class ClusterConfig(Config):
    """One clustering."""

    method: Literal["dbscan", "hdbscan"] = Field(
        "dbscan", description="one density for all clusters, or as many as there are"
    )
    radius_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="radius of the neighbourhood; hdbscan has none",
    )
    min_points: int = Field(
        10,
        ge=2,
        description="dbscan: rows within the radius of a core row, itself counted; "
        "hdbscan: fewest rows of a cluster",
    )
    z_weight: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="how z counts in distances; 0: not at all, 1: as x and y",
    )

    @model_validator(mode="after")
    def _check_radius(self) -> Self:
        if self.method == "dbscan" and self.radius_nm is None:
            raise ValueError("dbscan needs radius_nm, got none; give it, or use hdbscan")
        if self.method == "hdbscan" and self.radius_nm is not None:
            raise ValueError(f"hdbscan has no radius_nm, got {self.radius_nm:g}; leave it out")
        return self

    def settings(self) -> dict[str, Any]:
        """All that took effect, as plain values for a recipe."""
        return self.model_dump(mode="json", exclude_none=True)
