"""What one training step reports."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_dilatedloc.evaluation import Evaluation
from napari_dilatedloc.training.accuracy import ModelAccuracy
from napari_dilatedloc.training.isolated import IsolatedAccuracy


@dataclass(frozen=True)
class TrainingStep:
    """What one step reports.

    Attributes
    ----------
    step : int
        Steps done; 0 for the accuracy of given weights before any training.
    progress : float
        Share of the schedule done, 0-1.
    seconds, eta_s : float
        Time spent and time left.
    learning_rate : float
        Of the next step.
    losses : dict of float
        Loss terms of this step.
    evaluation : Evaluation, optional
        Accuracy on the fixed validation set, at the steps that validate.
    isolated : IsolatedAccuracy, optional
        Errors of isolated molecules beside the bound, per z, at the steps that validate.
    validation_loss : float
        Mean loss on fixed batches at the steps that validate, else NaN; less is better.
    is_best : bool
        Whether that loss is the lowest so far (the model file was written).
    note : str
        What happened besides, in a sentence: a divergence, an early end.
    final : ModelAccuracy, optional
        With the very last step: what the kept model reached in its standard test, once calibrated.
    """

    step: int
    progress: float
    seconds: float
    eta_s: float
    learning_rate: float
    losses: dict[str, float]
    evaluation: Evaluation | None = None
    isolated: IsolatedAccuracy | None = None
    validation_loss: float = math.nan
    is_best: bool = False
    note: str = ""
    final: ModelAccuracy | None = None
