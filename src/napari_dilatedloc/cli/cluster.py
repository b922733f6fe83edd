"""``dilatedloc cluster``: number the clusters of a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, say, settings_of, show


def cluster(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Table to read.")],
    out: Annotated[Path, typer.Option(help="Table to write, with a column 'cluster'.")],
    method: Annotated[
        Literal["dbscan", "hdbscan"] | None,
        typer.Option(help="One density for all clusters (dbscan), or as many as there are."),
    ] = None,
    radius_nm: Annotated[
        float | None, typer.Option(help="Radius of the neighbourhood, nm; hdbscan has none.")
    ] = None,
    min_points: Annotated[
        int | None,
        typer.Option(help="Rows within the radius, hdbscan: of the smallest cluster; 10."),
    ] = None,
    z_weight: Annotated[
        float | None, typer.Option(help="How z counts in distances: 0 not at all, 1 as x and y.")
    ] = None,
    clusters_out: Annotated[
        Path | None, typer.Option(help="Table of the clusters to write, .csv.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings, YAML; options here overrule them.")
    ] = None,
    pixel_size_nm: PixelSize = None,
    as_json: Json = False,
) -> None:
    """Number the clusters of a table; rows in none get -1. Needs the extra 'sklearn'."""
    from napari_dilatedloc.analysis.clusters import find_clusters, labelled, write_clusters
    from napari_dilatedloc.analysis.parts import Places
    from napari_dilatedloc.config.clusters import ClusterConfig
    from napari_dilatedloc.io.tables import open_table, read_info, read_parts, table_files

    options = {"method": method, "radius_nm": radius_nm, "min_points": min_points}
    settings = settings_of(ClusterConfig, config, {**options, "z_weight": z_weight}, "cluster")
    check_writable(out)
    table_files(out)  # refuses a name that no format has
    if clusters_out is not None:
        check_writable(clusters_out)
        if clusters_out.suffix.lower() != ".csv":
            raise ValueError(f"--clusters-out must end in .csv, got {clusters_out.name!r}; rename")
    info = read_info(source, pixel_size_nm=pixel_size_nm)
    parts = partial(read_parts, source, pixel_size_nm=pixel_size_nm)
    labels, clusters = find_clusters(Places.of(parts()), info.pixel_size_nm, settings)
    rows = len(labels)
    with open_table(out, info.after("cluster", settings.settings(), rows)) as writer:
        for part in labelled(parts(), labels):
            writer.write(part)
    files = writer.files
    if clusters_out is not None:
        write_clusters(clusters_out, clusters)
        files = [*files, clusters_out]
    inside = sum(found.count for found in clusters)
    names = [str(path) for path in files]
    if as_json:
        figures = {"before": rows, "after": rows, "clusters": len(clusters)}
        figures |= {"clustered": inside, "noise": rows - inside}
        show({**figures, "settings": settings.settings(), "files": names}, as_json)
        return
    typical = np.median([found.count for found in clusters]) if clusters else 0
    say(
        f"{len(clusters)} clusters with {inside} of {rows} localizations (median "
        f"{typical:.0f} each), {rows - inside} are noise; {', '.join(names)}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(cluster)
