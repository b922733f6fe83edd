from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import SCMOSConfig
from napari_dilatedloc.matching.compare import compare
from napari_dilatedloc.matching.estimate import MovieEstimate, Spread
from napari_dilatedloc.matching.figure import match_figure
from napari_dilatedloc.matching.sample import MovieSample
from napari_dilatedloc.psf.verdict import Verdict

REAL = [[0, 1, 1, 2, 2], [3, 3, 4, 5, 9]]
SIMULATED = [[9, 4, 4, 3, 3], [2, 2, 1, 1, 0], [0, 1, 2, 3, 5]]
ESTIMATE = MovieEstimate(
    bg=Spread(40.0, 50.0, 61.04),
    photons=Spread(800.0, 1234.5, 2500.0),
    dimmest=500.0,
    density_per_um2=Spread(0.05, 0.1, 0.2),
    lifetime_frames=None,
    z_range_nm=(-300.0, 400.0),
    spots=30, fits=20, pairs=10, frames=10, missed=0.1,
)  # fmt: skip


def look(counts, photons=1000.0):
    """Spots of given numbers in frames of runs."""
    run, frame = (
        np.repeat(index.ravel(), np.ravel(counts)) for index in np.indices(np.shape(counts))
    )
    return SimpleNamespace(spots=SimpleNamespace(run=run, frame=frame, photons=photons + 0.0 * run))


def sample(counts, origin):
    """Noise; the first pixel is the number of spots, so that frames can be recognised."""
    chip = build_camera(SCMOSConfig(baseline=0.0, e_per_adu=1.0, qe=1.0))
    number = torch.tensor(counts, dtype=torch.float32)
    adu = 20 * torch.rand(*number.shape, 16, 24, generator=torch.Generator().manual_seed(0))
    adu[..., 0, 0] = number
    first = tuple(100 * run for run in range(len(counts)))
    return MovieSample(adu, torch.tensor(origin), first, chip)


@pytest.fixture
def match():
    real = sample(REAL, [[0, 0], [8, 16]])
    simulated = sample(SIMULATED, [[0, 0]] * 3)
    return SimpleNamespace(
        estimate=ESTIMATE,
        verdicts=(Verdict("problem", "gain", "Gain looks wrong: " + 40 * "much "),),
        comparison=compare(real.photons, simulated.photons),
        real=real,
        matched=SimpleNamespace(real=look(REAL), simulated=look(SIMULATED), frames=simulated),
    )


def shown(figure):
    """Rows of frames as (title, first pixel), and all text."""
    axes = [axis for axis in figure.get_axes() if axis.images]
    frames = [(a.get_title(), float(np.asarray(a.images[0].get_array())[0, 0])) for a in axes]
    texts = [text.get_text() for axis in figure.get_axes() for text in axis.texts]
    return frames[: len(frames) // 2], frames[len(frames) // 2 :], texts


def test_real_frames_stand_above_simulated_ones_with_as_many_spots(match):
    real, simulated, _ = shown(match_figure(match, "title"))
    numbers = [value for _, value in real]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 2
    assert [value for _, value in simulated] == numbers
    for (above, value), (below, _) in zip(real, simulated, strict=True):
        assert below == f"{value:.0f} spot{'' if value == 1 else 's'}"
        assert above.startswith("frame ")
        assert above.endswith(f"x {0 if value < 3 else 16}: {below}")


def test_a_place_is_named_only_where_there_are_several(match):
    match.real = sample(REAL, [[0, 0], [0, 0]])
    real, _, _ = shown(match_figure(match))
    assert real[-1][0] == "frame 104: 9 spots"


def test_estimate_and_verdicts_are_in_words(match):
    _, _, texts = shown(match_figure(match))
    assert "  background  50 (40 to 61) photons per px" in texts
    assert "  photons     1234 (800 to 2500) of a molecule in a frame" in texts
    assert "  on-time     unknown" in texts
    assert any(text.startswith("problem: Gain looks wrong") for text in texts)
    assert max(map(len, texts)) <= 80
