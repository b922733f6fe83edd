"""Clusters as layers: which pixels belong to which, and a ring around each.

Pixels rather than points, because a Points layer is no longer fluid at a few hundred thousand
localizations while an image is at any number; and because a label can be picked, hidden and
measured with what napari has for labels. They are those of the super-resolution image, so a pixel
that is bright there has its colour here, and what is in no cluster stays as it was.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Labels, Points

from napari_dilatedloc.gui.layers import metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dilatedloc.analysis.clusters import Cluster
    from napari_dilatedloc.gui.cluster_job import Clustered
    from napari_dilatedloc.gui.live import LiveResult

RING_RADII = 4.0
"""Diameter of a ring in radii of gyration: 86 % of a round Gaussian cluster lie inside."""
LEAST_NM = 40.0
"""Smallest ring: a cluster on one place would have none."""


class ClusterLayers:
    """Layers of one clustering, which go with the result they are of.

    Parameters
    ----------
    result : LiveResult
    found : Clustered
    """

    def __init__(self, result: LiveResult, found: Clustered) -> None:
        self.found = found
        self._viewer = viewer = result.viewer
        pixel = result.info.pixel_size_nm
        active = viewer.layers.selection.active
        table = cluster_features(found.clusters)
        none = pd.DataFrame([dict.fromkeys(table.columns)], index=[0])
        labelled = table.set_axis(table["cluster"] + 1)
        image = result.image_layer
        self.labels = Labels(
            found.picture,
            name=f"{result.name} clusters",
            features=pd.concat([none, labelled.astype(object)]) if len(table) else None,
            opacity=0.8,
            scale=image.scale,
            translate=image.translate,
            units=image.units,
            axis_labels=image.axis_labels,
            metadata=metadata(result.info),
        )
        self.labels.editable = False
        self.centres = Points(
            table[["y_nm", "x_nm"]].to_numpy(np.float32) / np.float32(pixel),
            features=table,
            name=f"{result.name} cluster centres",
            size=np.maximum(RING_RADII * table["radius_of_gyration_nm"], LEAST_NM) / pixel,
            symbol="disc",
            face_color="transparent",
            border_color=self._colours(len(table)),
            border_width=0.08,
            border_width_is_relative=True,
            blending="translucent_no_depth",
            metadata=metadata(result.info),
            **result.placement.plane_keywords(),
        )
        for layer in (self.labels, self.centres):
            viewer.add_layer(layer)
        viewer.layers.selection.active = active

    def _colours(self, count: int) -> Any:
        """Colours of the labels, for rings that can be told apart where pixels are too small."""
        if not count:
            return "white"
        return self.labels.colormap.map(np.arange(1, count + 1))

    @property
    def layers(self) -> tuple[Any, ...]:
        """Those that the user has not taken away."""
        return tuple(one for one in (self.labels, self.centres) if one in self._viewer.layers)

    def show(self, visible: bool) -> None:
        """Show them, or hide them for others."""
        for layer in self.layers:
            layer.visible = visible

    def remove(self) -> None:
        """Take them away."""
        for layer in self.layers:
            self._viewer.layers.remove(layer)


def cluster_features(clusters: Sequence[Cluster]) -> pd.DataFrame:
    """One row a cluster, columns as in the written table."""
    from napari_dilatedloc.analysis.clusters import Cluster

    names = list(Cluster.__dataclass_fields__)
    return pd.DataFrame([asdict(found) for found in clusters], columns=names)
