"""Open in napari what ``dilatedloc demo`` wrote.

``python -m napari_dilatedloc.gui.open_demo demo-out``
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari

from napari_dilatedloc.gui.layers import Placement, image_layer, metadata, points_layer
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.io.tables import read_table
from napari_dilatedloc.render import gaussian

MAGNIFICATION = 10


def open_demo(folder: Path) -> napari.Viewer:
    """Viewer with the movie, its localizations frame by frame, the image and the dock."""
    table = folder / "localizations.hdf5"
    found, info = read_table(table)
    movie = open_movie(folder / "movie.tif").data
    viewer = napari.Viewer(title="DilatedLoc demo")
    viewer.add_image(
        movie,
        name="demo movie",
        metadata=metadata(info),
        **Placement.from_pixel_size(info.pixel_size_nm).frame_keywords(),
    )
    image = gaussian(found, (movie.shape[1], movie.shape[2]), MAGNIFICATION)
    for data, keywords, kind in (
        image_layer(image, info, "demo super-resolution", MAGNIFICATION, source=str(table)),
        points_layer(found, info, "demo localizations", source=str(table)),
    ):
        getattr(viewer, f"add_{kind}")(data, **keywords)
    viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    return viewer


def main() -> None:
    """Open the folder named on the command line and run napari."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("give one folder that 'dilatedloc demo' wrote, for example: demo-out")
    open_demo(Path(sys.argv[1]))
    napari.run()


if __name__ == "__main__":
    main()
