"""A model's calibration reaches the table of a movie."""

from dataclasses import replace

import numpy as np

from napari_dilatedloc.config import CalibrationConfig, LocalizeConfig
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.table import Localizations


def test_factors_are_applied_once():
    model = load_model("astigmatism")
    plain = replace(model, info=model.info.replace(calibration=CalibrationConfig()))
    factors = CalibrationConfig(sigma_x=2, sigma_y=3, sigma_z=0.5, sigma_photons=4, photons=1.5)
    changed = replace(model, info=model.info.replace(calibration=factors))
    movie = np.full((4, 48, 48), 300, np.uint16)
    movie[:, 20:24, 20:24] += 900
    config = LocalizeConfig(device="cpu", threshold=0.2)
    tables = [
        Localizations.concatenate([b.localizations for b in localize(movie, m, config)])
        for m in (plain, changed)
    ]
    before, after = tables
    assert len(before) == len(after) > 0
    expected = {"sigma_x": 2, "sigma_y": 3, "sigma_z_nm": 0.5, "sigma_photons": 4, "photons": 1.5}
    for name in Localizations.column_names():
        factor = expected.get(name, 1)
        np.testing.assert_allclose(getattr(after, name), factor * getattr(before, name), rtol=1e-5)
