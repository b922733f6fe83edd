import pytest
import torch

from napari_dilatedloc.simulation.emitters import EmitterBatch


@pytest.fixture
def emitter_batch():
    """Two movies of four frames: kept, border frame, dim, outside, kept in the corner."""
    return EmitterBatch(
        movie=torch.tensor([0, 0, 0, 1, 1]),
        frame=torch.tensor([1, 0, 2, 1, 2]),
        id=torch.arange(5),
        y=torch.tensor([3.2, 3.2, 5.0, 17.0, 15.4]),
        x=torch.tensor([3.8, 3.8, 5.0, 2.0, -0.4]),
        z_nm=torch.zeros(5),
        photons=torch.tensor([500.0, 500.0, 50.0, 900.0, 800.0]),
    )
