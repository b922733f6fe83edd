"""What docs/analysis.md shows is run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_dilatedloc.cli import cluster, filter, link
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"
app = typer.Typer()
for group in (filter, link, cluster):
    group.register(app)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A filament along y in which molecules shine for three frames each."""
    rng = np.random.default_rng(0)
    n = 3000
    y, x, z = rng.uniform(0, 63, n), rng.normal(15, 0.2, n), rng.uniform(-300, 300, n)
    start = rng.integers(0, 4000, n)
    table = Localizations.from_columns(
        frame=np.concatenate([start, start + 1, start + 2]),
        y=np.tile(y, 3) + rng.normal(size=3 * n) * 0.08,
        x=np.tile(x, 3) + rng.normal(size=3 * n) * 0.08,
        z_nm=np.tile(z, 3) + rng.normal(size=3 * n) * 20,
        photons=rng.exponential(2000, 3 * n) + 400,
        bg=np.full(3 * n, 10),
        sigma_x=np.full(3 * n, 0.08),
        sigma_y=np.full(3 * n, 0.08),
        sigma_z_nm=np.full(3 * n, 20),
    )
    monkeypatch.chdir(tmp_path)
    write_table("locs.h5", table.sorted_by_frame(), TableInfo(100.0, (64, 64), 4002))
    return tmp_path


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_commands_of_the_page(folder):
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 9
    for name, *options in commands:
        assert name == "dilatedloc"
        result = CliRunner().invoke(app, options, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        rows = len(read_table(options[options.index("--out") + 1])[0])
        assert 0 < rows <= 9000
    assert (folder / "clusters.csv").exists()


def test_python_of_the_page(folder, capsys):
    (code,) = blocks("python")
    exec(compile(code, str(PAGE), "exec"), {})
    fwhm, density = map(float, capsys.readouterr().out.split())
    assert fwhm == pytest.approx(2.355 * np.hypot(20, 8 / np.sqrt(3)), rel=0.15)
    assert 100 < density < 1000  # 3000 blinks on 6.3 um
    assert len(read_table("blinks.h5")[0]) == pytest.approx(3000, rel=0.1)
