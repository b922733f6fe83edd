"""``dilatedloc watch`` gives the table that ``dilatedloc localize`` gives of the finished movie."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.io.tables import read_table

FRAMES = 40


@pytest.fixture
def frames():
    rng = np.random.default_rng(5)
    adu = rng.poisson(200.0, (FRAMES, 32, 32)).astype(np.uint16)
    for frame in adu:
        y, x = rng.integers(6, 26, 2)
        frame[y - 1 : y + 2, x - 1 : x + 2] += 900
    return adu


def command(*arguments):
    call = "import sys; from napari_dilatedloc.cli import main; sys.argv[0] = 'dilatedloc'; main()"
    return [sys.executable, "-c", call, *map(str, arguments)]


def write(folder, frames, start, stop):
    for i in range(start, stop):
        tifffile.imwrite(folder / f"img_{i:05d}.tif", frames[i], photometric="minisblack")


def same_tables(a, b):
    one, other = read_table(a)[0], read_table(b)[0]
    assert len(one) > 10
    np.testing.assert_array_equal(one.frame, other.frame)
    for name in one.column_names():  # batches of another length may round otherwise
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-3, err_msg=name
        )


def test_ctrl_c_ends_it_and_a_kill_loses_nothing(tmp_path, frames):
    folder = tmp_path / "recording"
    folder.mkdir()
    write(folder, frames, 0, 10)
    out = tmp_path / "live.h5"
    live = command("watch", folder, "--model", "astigmatism", "--out", out, "--json")
    live += ["--pixel-size-nm", "100", "--idle-s", "120", "--look-s", "0.1"]
    parts = tmp_path / "live.run" / "parts"

    killed = subprocess.Popen(live, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: list(parts.glob("0*.parquet")), killed)
    killed.kill()
    killed.communicate()
    refused = subprocess.run(live, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr

    write(folder, frames, 10, 25)
    again = subprocess.Popen(
        [*live, "--resume"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    before = len(list(parts.glob("0*.parquet")))
    _wait_for(lambda: len(list(parts.glob("0*.parquet"))) > before, again)
    write(folder, frames, 25, FRAMES)
    again.send_signal(signal.SIGINT)  # the frames that are there are done all the same
    text, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert json.loads(text)["frames"] == FRAMES

    done = tmp_path / "done.h5"
    afterwards = command("localize", folder, "--model", "astigmatism", "--out", done)
    subprocess.run([*afterwards, "--pixel-size-nm", "100"], check=True, capture_output=True)
    same_tables(out, done)


def test_nothing_to_watch_is_one_sentence(tmp_path):
    call = command("watch", tmp_path, "--model", "astigmatism", "--out", tmp_path / "live.csv")
    done = subprocess.run([*call, "--idle-s", "0.2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no frame came" in done.stderr


def test_what_contradicts_itself_is_refused(run, tmp_path):
    words = ["watch", tmp_path, "--model", "astigmatism", "--out", tmp_path / "live.csv"]
    status, _, err = run(*words, "--resume", "--overwrite")
    assert status == 2
    assert "--resume goes on and --overwrite begins again" in " ".join(err.split())


def _wait_for(there, process):
    """Until something is there; a process that ended meanwhile says why."""
    until = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
