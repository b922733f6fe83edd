"""How much of the standard test can be told from noise at all; the figures of results.md.

``python docs/detectable.py MODEL...`` takes shipped names or model files. A molecule far from
others, of known PSF and over a known background, is seen if the best filter's answer stands `LONE`
standard deviations out of the noise: fewer would let in a false one now and then among the ten
thousands of places of a frame. `KNOWN` are enough where it was seen in the frame before or after.
Crowding is not looked at, so it is an upper bound under these thresholds, not what can be reached.
"""

import argparse

import numpy as np
import torch
from scipy.stats import norm

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.simulation.simulator import Simulator
from napari_dilatedloc.training.accuracy import model_psf, standard_test
from napari_dilatedloc.training.validation import make_validation_set

LONE, KNOWN = 5.0, 2.0
FRAMES, SIDE, SEED = 400, 128, 4242
CHUNK = 500


def signal_to_noise(psf, emitters, variance):
    """Answer of the matched filter over its standard deviation, (N,).

    ``sqrt(sum(mu^2 / (variance + mu / 2)))``, mu the photons of the molecule in a pixel; half of
    its own noise, which is there if it is and is not if it is not.
    """
    parts = []
    for start in range(0, len(emitters), CHUNK):
        z_nm = torch.from_numpy(emitters.z_nm[start : start + CHUNK])
        photons = torch.from_numpy(emitters.photons[start : start + CHUNK])
        here = torch.zeros_like(z_nm)
        mu = photons[:, None, None] * psf.rois(z_nm, here, here)
        parts.append((mu**2 / (variance + mu / 2)).sum((1, 2)).sqrt())
    return torch.cat(parts).numpy()


def detectable(name):
    """Share of molecules seen in their own frame alone, and with the help of its neighbours."""
    model = load_model(name)
    psf, test = model_psf(model), standard_test(model.info)
    camera = build_camera(model.info.camera).typical
    simulator = Simulator(psf, camera, test.simulation)
    data = make_validation_set(
        simulator, frames=min(test.frames, FRAMES), size=SIDE, window=3, seed=SEED
    )
    truth = data.truth
    read_noise = float(camera.read_noise_e.median()) / model.info.camera.qe
    ratio = signal_to_noise(psf, truth, test.isolated_bg + read_noise**2)
    keys = zip(truth.id.tolist(), truth.frame.tolist(), strict=True)
    at = dict(zip(keys, ratio.tolist(), strict=True))
    brighter = [
        max(at.get((i, frame - 1), 0), at.get((i, frame + 1), 0))
        for i, frame in zip(truth.id.tolist(), truth.frame.tolist(), strict=True)
    ]
    alone, told = norm.sf(LONE - ratio), norm.sf(LONE - np.array(brighter))
    helped = 1 - (1 - alone) * (1 - told * norm.sf(KNOWN - ratio))
    counted = truth.photons >= test.min_photons
    return alone[counted].mean(), helped[counted].mean()


def main():
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    for name in parser.parse_args().models:
        alone, helped = detectable(name)
        print(f"{name}: {alone:.3f} in its frame alone, {helped:.3f} with its neighbours")


if __name__ == "__main__":
    main()
