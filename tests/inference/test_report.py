import numpy as np
import pytest

from napari_dilatedloc.inference.report import (
    STAGES,
    LocalizedBlock,
    LocalizeReport,
    RunMeter,
    summarize,
)
from napari_dilatedloc.table import Localizations


def block(start, stop, found, seconds, waited):
    table = Localizations.from_columns(frame=np.zeros(found), x=np.zeros(found), y=np.zeros(found))
    return LocalizedBlock(
        start,
        stop,
        100,
        table,
        seconds,
        waited,
        (stop - start) * 0.5,
        "cpu",
        stages={"read": 0.25, "network": seconds / 2},
        engine="torch",
        precision="bfloat16",
        batch_frames=stop - start,
        tile_size=1000 - stop,
    )


def test_report_adds_up():
    report = summarize([block(0, 10, 3, 1.0, 0.5), block(10, 40, 4, 3.0, 0.5)])
    assert report == LocalizeReport(
        frames=40,
        localizations=7,
        seconds=4.0,
        frames_per_second=10.0,
        mb_per_second=5.0,
        waited=0.25,
        device="cpu",
        engine="torch",
        precision="bfloat16",
        batch_frames=30,
        tile_size=960,
        stages={"read": 0.5, "network": 2.0},
    )
    assert set(report.stages) <= set(STAGES)


def test_remaining_time_follows_the_pace():
    meter = RunMeter()
    assert meter.remaining_s == 0
    meter.add(block(0, 25, 0, 5.0, 0.0))
    assert meter.remaining_s == pytest.approx(15.0)


def test_run_without_blocks():
    assert summarize([]) == LocalizeReport()
