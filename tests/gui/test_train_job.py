"""A training in a process of its own, without the dock around it."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from napari_dilatedloc.config import (
    GaussianPSFConfig,
    ModelInfo,
    SimulationConfig,
    TrainingConfig,
)
from napari_dilatedloc.gui import train_job as job_module
from napari_dilatedloc.gui.train_job import RemotePause, train_job
from napari_dilatedloc.gui.worker import describe
from napari_dilatedloc.network.checkpoint import load_model, save_model
from napari_dilatedloc.network.output import scaling_for
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.training import trainer
from napari_dilatedloc.training.child import (
    COMMAND,
    TrainingFailed,
    TrainingOrder,
    TrainingStarted,
    run,
    thinned,
)
from napari_dilatedloc.training.pause import Pause
from napari_dilatedloc.training.places import checkpoint_path
from napari_dilatedloc.training.start import fresh_network
from napari_dilatedloc.training.state import read_settings
from napari_dilatedloc.training.step import TrainingStep

TIMEOUT_S = 120
PSF = GaussianPSF(GaussianPSFConfig(roi_size=11))
TINY = TrainingConfig(
    simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    batch=1,
    patch=32,
    frames=3,
    steps=1_000_000,
    validate_every=2,
    validation_frames=10,
    validation_per_plane=1,
)


def order(out, config=TINY, init="none", **others):
    return TrainingOrder(config, PSF.config, PSF.tensors(), out, init, **others)


def step(number, **others):
    losses = {"count": float(number), "position": 10.0 * number}
    return TrainingStep(number, 0.5, float(number), 1.0, 1e-3, losses, **others)


def steps_of(*steps):
    yield from steps


def test_steps_are_thinned_but_nothing_is_forgotten():
    now = iter(0.01 * tick for tick in range(1000))
    given = [step(number) for number in range(1, 101)]
    given[41] = step(42, note="something happened")
    told = list(thinned(steps_of(*given), interval_s=0.1, clock=lambda: next(now)))
    assert 10 <= len(told) <= 25
    assert told[0] == given[0]
    assert "something happened" in [one.note for one in told]
    assert told[-1].step == 100
    # each stands for the steps since the one before: the sum over all is that of the whole run
    counts = np.diff([0, *(one.step for one in told)])
    total = sum(n * one.losses["position"] for n, one in zip(counts, told, strict=True))
    assert total == pytest.approx(10 * sum(range(1, 101)))


def test_each_check_is_told_at_once():
    checked = [step(number, evaluation=object()) for number in range(5)]
    assert [one.step for one in thinned(steps_of(*checked), 60, clock=lambda: 0.0)] == [*range(5)]


def test_closing_the_thinned_steps_closes_those_of_the_trainer():
    ended = []

    def endless():
        try:
            while True:
                yield step(1)
        finally:
            ended.append(True)

    told = thinned(endless())
    next(told)
    told.close()
    assert ended


def test_tiny_numbers_count_as_zero_where_it_trains(tmp_path):
    def tiny():
        return float(torch.tensor([1e-39]) * 0.5)

    items = run(order(tmp_path / "model.safetensors"), threading.Event(), Pause())
    assert isinstance(next(items), TrainingStarted)
    assert tiny() == 0
    items.close()
    assert tiny() > 0


def test_the_warm_up_is_short_only_where_weights_are_given(tmp_path):
    start = tmp_path / "start.safetensors"
    info = ModelInfo(
        network=TINY.network,
        scaling=scaling_for(TINY.simulation, PSF.config.z_range_nm),
        camera=TINY.camera,
        psf=PSF.config,
        simulation=TINY.simulation,
    )
    save_model(start, fresh_network(TINY.network, 1), info, {})
    config = TrainingConfig(minutes=3)
    for init, warm_up in (("none", 200), (str(start), 50)):
        items = run(order(tmp_path / "m.safetensors", config, init), threading.Event(), Pause())
        started = next(items)
        items.close()
        assert (started.config.warmup_steps, started.config.minutes) == (warm_up, 3)
        assert (started.start is None) == (init == "none")


def test_a_run_that_diverges_again_and_again_is_an_error_for_users(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "MAX_ROLLBACKS", -1)
    monkeypatch.setattr(trainer.Guard, "diverged", lambda *_: True)
    with pytest.raises(ValueError, match="the run diverged"):
        list(run(order(tmp_path / "model.safetensors"), threading.Event(), Pause()))


@pytest.mark.parametrize(
    "error", [FileExistsError("a.x is there"), ValueError("too wide"), KeyError("z")]
)
def test_errors_keep_their_sentence_on_the_way(error):
    arrived = TrainingFailed.of(error).as_error()
    sentence, details = describe(arrived)
    if isinstance(error, KeyError):
        assert sentence.startswith("Unexpected RuntimeError: KeyError: 'z'")
    else:
        assert sentence.lower() == str(error).lower()
    assert "In the training process" in details


def test_the_process_loads_neither_qt_nor_napari(tmp_path):
    out = tmp_path / "model.safetensors"
    look = (
        "import sys; loaded = {'torch', 'napari', 'qtpy', 'PyQt6', 'PySide6'} & sys.modules.keys();"
        "print(sorted(loaded), 'napari_dilatedloc.training.trainer' in sys.modules)"
    )
    done = subprocess.run(  # the orders end at once, so it stops before the first step
        [sys.executable, "-c", f"{COMMAND}; {look}"],
        input=order(out).to_bytes(),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert b"['torch'] True" in done.stderr  # where its stdout leads
    assert b"TrainingStarted" in done.stdout


UNGUARDED = """
import sys
print("top level", flush=True)
from pathlib import Path
from threading import Event
from napari_dilatedloc.gui import train_job as job
from test_train_job import PSF, TINY

start = job._training_process
def started(complaints):
    process = start(complaints)
    print(process.pid, flush=True)
    return process
job._training_process = started
out = Path(sys.argv[1])
for item in job.train_job(TINY, PSF, out, "none", job.RemotePause(), Event()):
    if getattr(item, "evaluation", None) is not None:
        print("checked", flush=True)
"""


def test_it_outlives_nobody_and_runs_no_script_again(tmp_path, monkeypatch):
    """A user's script has no guard for `__main__`; napari may be killed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (tmp_path / "script.py").write_text(UNGUARDED)
    out = tmp_path / "model.safetensors"
    script = [sys.executable, str(tmp_path / "script.py"), str(out)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "top level\n"
        trainee = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "checked\n"
        parent.kill()
        assert "top level" not in parent.stdout.read()
    psutil.wait_procs([trainee], timeout=TIMEOUT_S)
    assert not trainee.is_running() or trainee.status() == psutil.STATUS_ZOMBIE
    assert read_settings(checkpoint_path(out)) == TINY
    assert load_model(out).info.psf == PSF.config


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be halted there")
def test_at_closing_time_a_process_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    processes = []
    start = job_module._training_process
    monkeypatch.setattr(
        job_module, "_training_process", lambda said: processes.append(start(said)) or processes[0]
    )
    monkeypatch.setattr(job_module, "GRACE_S", 0.2)
    stop, pause = threading.Event(), RemotePause()
    items = train_job(TINY, PSF, tmp_path / "model.safetensors", "none", pause, stop)
    assert isinstance(next(items), TrainingStarted)
    psutil.Process(processes[0].pid).suspend()
    pause.hasten()
    stop.set()
    assert list(items) == []
    assert processes[0].returncode != 0
    assert not [t for t in threading.enumerate() if t.name == "dilatedloc-training"]
