"""Which rows of a table are kept."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from napari_dilatedloc.config.base import Config

OpenRange = tuple[float | None, float | None]
"""Lowest and highest value that is kept, both included; None leaves a side open."""


class FilterConfig(Config):
    """One filter; what is left out does nothing."""

    where: str | None = Field(None, description="expression, as in photons>500 & sigma_x_nm<20")
    ranges: dict[str, OpenRange] = Field(
        default_factory=dict, description="lowest and highest value by column; null: open"
    )
    edge_px: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="smallest distance from the border, px"
    )
    duplicates_nm: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of rows closer in one frame the best stays"
    )
    min_neighbours: int | None = Field(
        None, ge=1, description="fewest other rows within the radius, over all frames"
    )
    radius_nm: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="radius of the neighbourhood"
    )
    z_weight: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="how z counts in that radius; 0: not at all, 1: as x and y",
    )

    @field_validator("ranges")
    @classmethod
    def _check_ranges(cls, ranges: dict[str, OpenRange]) -> dict[str, OpenRange]:
        for name, (low, high) in ranges.items():
            if not all(v is None or abs(v) < float("inf") for v in (low, high)):
                raise ValueError(
                    f"range of {name} must be numbers, got {low}, {high}; open is null"
                )
            if low is not None and high is not None and low > high:
                raise ValueError(f"range of {name} must run upwards, got {low:g} to {high:g}")
        return ranges

    @model_validator(mode="after")
    def _check_density(self) -> Self:
        if (self.min_neighbours is None) != (self.radius_nm is None):
            raise ValueError(
                f"min_neighbours and radius_nm go together, got {self.min_neighbours} and "
                f"{self.radius_nm}; give both or none"
            )
        return self

    def with_range(self, column: str, low: float | None, high: float | None) -> Self:
        """Copy with another range of one column; None, None takes it away."""
        ranges = {name: limits for name, limits in self.ranges.items() if name != column}
        if low is not None or high is not None:
            ranges[column] = (low, high)
        return self.replace(ranges=ranges)

    def stated(self) -> dict[str, Any]:
        """What differs from doing nothing, as plain values for a recipe."""
        return self.model_dump(mode="json", exclude_defaults=True)
