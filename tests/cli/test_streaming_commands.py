"""``filter``, ``link``, ``drift``, ``cluster`` and ``quality`` read part by part: same results."""

from functools import partial

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.benchmark.drift import simulate_drift
from napari_dilatedloc.cli import cluster, drift, filter, link, quality
from napari_dilatedloc.io import tables
from napari_dilatedloc.table import Localizations

app = typer.Typer()
for group in (filter, link, drift, cluster, quality):
    group.register(app)

COMMANDS = [
    ("filter", "--where", "photons > 400", "--duplicates-nm", "200", "--edge-px", "1"),
    ("filter", "--min-neighbours", "6", "--radius-nm", "150"),
    ("link", "--distance-nm", "120", "--dark-frames", "3"),
    ("drift", "--segments", "10"),
    ("cluster", "--radius-nm", "60", "--min-points", "4"),
]


def table_of(sample):
    rng = np.random.default_rng(0)
    n = len(sample.table)
    photons = rng.exponential(1000, n)
    return sample.table.replace(photons=photons, extra={"chi": rng.uniform(0, 2, n)})


@pytest.fixture
def folder(tmp_path):
    sample = simulate_drift(6000, 300, seed=2, size_px=64)
    tables.write_table(tmp_path / "in.h5", table_of(sample), sample.info)
    tables.write_table(
        tmp_path / "mixed.h5",
        table_of(sample)[np.random.default_rng(1).permutation(6000)],
        sample.info,
    )
    return tmp_path


@pytest.fixture
def call(folder, monkeypatch):
    def run(name, source, out, *options, rows):
        with monkeypatch.context() as patch:
            patch.setattr(tables, "read_parts", partial(tables.read_parts, rows=rows))
            args = [name, str(folder / source), "--out", str(folder / out), *options, "--json"]
            result = CliRunner().invoke(app, args, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout.replace(out, "OUT")

    return run


@pytest.mark.parametrize("source", ["in.h5", "mixed.h5"])
@pytest.mark.parametrize(("name", "options"), [(c[0], c[1:]) for c in COMMANDS])
def test_parts_make_no_odds(folder, call, name, options, source):
    said = {call(name, source, f"{rows}.h5", *options, rows=rows) for rows in (61, 100_000)}
    assert len(said) == 1
    one, other = ((folder / f"{rows}.h5").read_bytes() for rows in (61, 100_000))
    assert one == other
    table, info = tables.read_table(folder / "61.h5")
    assert (info.recipe[-1].name, info.recipe[-1].rows) == (name, len(table))
    assert 0 < len(table) <= 6000
    assert "chi" in table.extra


def test_quality_reads_no_further_columns(call):
    said = {call("quality", "in.h5", "report", rows=rows) for rows in (61, 100_000)}
    assert len(said) == 1


@pytest.mark.parametrize(("name", "options"), [(c[0], c[1:]) for c in COMMANDS if c[0] != "drift"])
def test_a_table_without_rows(folder, call, name, options):
    info = tables.read_info(folder / "in.h5")
    tables.write_table(folder / "none.h5", Localizations.empty(), info)
    call(name, "none.h5", "out.h5", *options, rows=10)
    table, info = tables.read_table(folder / "out.h5")
    assert len(table) == 0
    assert info.recipe[-1].rows == 0
