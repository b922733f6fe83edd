import importlib.util
import json
import time
from pathlib import Path

import pytest
from qtpy.QtCore import QTimer

SCRIPT = Path(__file__).parents[2] / "scripts" / "heartbeat.py"


@pytest.fixture(scope="module")
def heartbeat():
    spec = importlib.util.spec_from_file_location("heartbeat", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_percentiles_and_the_share_of_long_gaps(heartbeat):
    seen = heartbeat.summarize([0.0] * 98 + [190.0, 490.0], [1.0] * 99 + [80.0])
    assert seen["beats"] == 100
    assert seen["p50_ms"] == 0
    assert seen["max_ms"] == 490
    assert seen["own_max_ms"] == 80
    assert seen["own_p99_ms"] < 80
    # 200 and 500 ms of 980 + 700 ms
    assert seen["share_over_100_ms"] == pytest.approx(700 / 1680, abs=1e-4)


def test_a_frozen_event_loop_is_seen(heartbeat, qtbot):
    heart = heartbeat.Heartbeat()
    heart.start()
    QTimer.singleShot(20, lambda: time.sleep(0.3))
    end = time.monotonic() + 0.5
    heartbeat.wait_until(lambda: time.monotonic() > end, timeout_s=60)
    seen = heart.stop()
    assert seen["max_ms"] >= 280
    assert seen["share_over_100_ms"] > 0.2


def test_waiting_in_vain_is_an_error(heartbeat, qtbot):
    with pytest.raises(TimeoutError, match="waited 0 s"):
        heartbeat.wait_until(lambda: False, timeout_s=0.1)


def test_a_short_run_of_the_real_dock(heartbeat, make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    seen = heartbeat.measure(viewer, "astigmatism", 24, 32, colour="z", idle_s=0.3)
    assert seen["state"] == "done"
    assert seen["frames"] == 24
    assert seen["idle"]["beats"] > 0
    assert seen["running"]["p50_ms"] <= seen["running"]["p99_ms"] <= seen["running"]["max_ms"]
    assert json.loads(json.dumps(seen)) == seen
