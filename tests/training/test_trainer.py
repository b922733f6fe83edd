import math
import threading
import time
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_dilatedloc.config import GaussianPSFConfig, SimulationConfig, TrainingConfig
from napari_dilatedloc.evaluation import evaluate
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.network.shipped import ModelFileError
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.simulator import SimulatedBatch
from napari_dilatedloc.table import Emitters, Localizations
from napari_dilatedloc.training import trainer
from napari_dilatedloc.training.batches import BatchMaker
from napari_dilatedloc.training.isolated import IsolatedAccuracy
from napari_dilatedloc.training.pause import Pause
from napari_dilatedloc.training.places import checkpoint_path
from napari_dilatedloc.training.state import CheckpointError
from napari_dilatedloc.training.targets import make_targets
from napari_dilatedloc.training.trainer import TrainingError, train

PSF = GaussianPSF(GaussianPSFConfig(roi_size=15))
CONFIG = TrainingConfig(
    simulation=SimulationConfig(density_per_um2=(0.3, 0.6), photons=(3000, 6000), bg=(10, 20)),
    batch=2,
    patch=32,
    frames=3,
    steps=4,
    warmup_steps=2,
    validate_every=2,
    validation_frames=10,
    validation_per_plane=2,
    test_emitters=20,
)


@pytest.fixture(autouse=True)
def final(monkeypatch):
    """The test that ends a run has tests of its own; here it is a number that can be recognised."""
    judged = SimpleNamespace(accuracy=SimpleNamespace(jaccard=0.5))
    monkeypatch.setattr(trainer, "finish_model", lambda *_, **__: judged)
    return judged.accuracy


@pytest.fixture
def out(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_run_gives_steps_a_model_and_a_checkpoint(out, final):
    steps = list(train(CONFIG, PSF, out))
    assert [s.step for s in steps] == [1, 2, 3, 4, 4]
    assert [s.evaluation is not None for s in steps] == [False, True, False, True, False]
    assert steps[-1].progress == 1.0
    assert steps[-1].final is final
    assert all(math.isfinite(v) for s in steps for v in s.losses.values())
    model = load_model(out)
    assert model.info.psf == PSF.config
    assert model.info.camera == CONFIG.camera
    assert checkpoint_path(out).is_file()


@pytest.mark.parametrize("killed", [True, False])
def test_resume_continues_bit_for_bit(tmp_path, killed):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    expected = list(train(CONFIG, PSF, whole))
    run = train(CONFIG, PSF, parts)
    for _ in range(3):  # one step past the checkpoint at step 2
        next(run)
    of_validation = checkpoint_path(parts).read_bytes()
    run.close()  # this keeps the last step
    if killed:
        checkpoint_path(parts).write_bytes(of_validation)
    done = 2 if killed else 3
    resumed = list(train(CONFIG, PSF, parts, resume=True))
    assert [s.step for s in resumed] == [*range(done + 1, 5), 4]
    assert [s.losses for s in resumed] == [s.losses for s in expected[done:]]


def test_the_time_of_a_run_counts_its_simulation(out, monkeypatch):
    draw = BatchMaker.draw

    def slow(*args):
        time.sleep(0.3)
        return draw(*args)

    run = train(CONFIG, PSF, out)
    next(run)
    monkeypatch.setattr(BatchMaker, "draw", slow)
    before, after = next(run), next(run)
    assert after.seconds - before.seconds > 0.3


def test_hours_with_a_gpu_are_those_of_the_weights_it_began_with(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    list(train(CONFIG, PSF, first))
    model = load_model(first)
    assert model.info.gpu_hours == 0  # trained on the CPU
    assert model.info.cpu_hours > 0
    info = model.info.replace(gpu_hours=2.0)
    list(train(CONFIG, PSF, second, init=replace(model, info=info)))
    assert load_model(second).info.gpu_hours == 2.0


def test_a_run_stopped_before_its_first_validation_can_go_on(out):
    stop = threading.Event()
    for _ in train(CONFIG, PSF, out, stop=stop):
        stop.set()
    assert not out.exists()
    assert next(train(CONFIG, PSF, out, resume=True)).step == 2


def test_resume_refuses_another_psf(out):
    next(train(CONFIG.replace(steps=1), PSF, out))
    other = GaussianPSF(PSF.config.replace(sigma_nm=PSF.config.sigma_nm + 5))
    with pytest.raises(CheckpointError, match="begun with another PSF"):
        next(train(CONFIG, other, out, resume=True))


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(ModelFileError, match=r"end in .safetensors, got model.pt"):
        next(train(CONFIG, PSF, tmp_path / "model.pt"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        next(train(CONFIG, PSF, tmp_path / "nowhere" / "model.safetensors"))


def test_resume_refuses_other_settings(out):
    next(train(CONFIG.replace(steps=1), PSF, out))
    with pytest.raises(CheckpointError, match="batch was 2, now 3"):
        next(train(CONFIG.replace(batch=3), PSF, out, resume=True))


def test_resume_without_a_checkpoint_says_so(out):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        next(train(CONFIG, PSF, out, resume=True))


def test_a_trained_model_is_not_overwritten(out):
    out.write_bytes(b"hours of work")
    with pytest.raises(FileExistsError, match="resume"):
        next(train(CONFIG, PSF, out))
    assert out.read_bytes() == b"hours of work"


def test_weights_follow_the_seed_and_not_the_global_generator(tmp_path):
    torch.manual_seed(1)
    first = next(train(CONFIG, PSF, tmp_path / "a.safetensors"))
    torch.manual_seed(2)
    second = next(train(CONFIG, PSF, tmp_path / "b.safetensors"))
    assert first.losses == second.losses


def test_stop_ends_after_the_step(out):
    stop = threading.Event()
    steps = []
    for step in train(CONFIG, PSF, out, stop=stop):
        steps.append(step)
        stop.set()
    assert len(steps) == 1


def test_fine_tuning_starts_from_given_weights(tmp_path, out):
    list(train(CONFIG, PSF, out))
    start = load_model(out)
    tuned = tmp_path / "tuned.safetensors"
    steps = list(train(CONFIG.replace(learning_rate=1e-12, steps=2), PSF, tuned, init=start))
    assert [s.step for s in steps] == [0, 1, 2, 2]
    assert steps[0].evaluation is not None  # before any training
    again = load_model(tuned)
    assert again.info.scaling == start.info.scaling
    weights = dict(again.network.named_parameters())
    for name, value in start.network.named_parameters():
        assert torch.allclose(weights[name], value, atol=1e-6)


def test_a_resumed_fine_tuning_keeps_the_scaling_it_began_with(tmp_path, out):
    list(train(CONFIG, PSF, out))
    start, tuned = load_model(out), tmp_path / "tuned.safetensors"
    bright = CONFIG.simulation.replace(photons=(3000, 12000))
    config = CONFIG.replace(simulation=bright.model_dump(), steps=2)
    list(train(config, PSF, tuned, init=start))
    tuned.unlink()  # so that the resumed run writes it
    list(train(config.replace(steps=4), PSF, tuned, resume=True))
    assert load_model(tuned).info.scaling == start.info.scaling


def test_too_few_frames_for_the_window_are_refused(out):
    with pytest.raises(ValueError, match="at least the 3"):
        next(train(CONFIG.replace(frames=2), PSF, out))


def paused_run(out):
    """Run in a thread that waits already, its pause, its stop and the steps it reports."""
    pause, stop, steps = Pause(), threading.Event(), []
    pause.set()
    run = threading.Thread(
        target=lambda: steps.extend(train(CONFIG, PSF, out, pause=pause, stop=stop))
    )
    run.start()
    run.join(0.5)
    assert run.is_alive()
    assert not steps
    return run, pause, stop, steps


def test_a_paused_run_waits(out):
    run, pause, _, steps = paused_run(out)
    pause.clear()
    run.join(60)
    assert [s.step for s in steps] == [1, 2, 3, 4, 4]


def test_a_paused_run_can_be_stopped(out):
    run, pause, stop, steps = paused_run(out)
    stop.set()
    run.join(60)
    assert not run.is_alive()
    assert pause.is_set()
    assert not steps


def test_a_run_without_progress_ends_early(out, monkeypatch):
    measured = trainer.Measured(FLAT, NOTHING, 1.0)
    monkeypatch.setattr(trainer._Run, "_measure", lambda _: measured)
    steps = list(train(CONFIG.replace(steps=40, patience=3), PSF, out))
    assert steps[-2].step == 8  # best at 2, then three validations without a better one
    assert "ends early" in steps[-2].note
    assert [s.step for s in steps if s.is_best] == [2]


def test_the_weights_with_the_lowest_loss_on_fixed_batches_are_kept(out, monkeypatch):
    told = iter([3.0, 1.0, 2.0])
    measure = trainer._Run._measure
    monkeypatch.setattr(
        trainer._Run, "_measure", lambda run: replace(measure(run), loss=next(told))
    )
    steps = list(train(CONFIG.replace(steps=6, validate_every=2), PSF, out))
    checks = [s for s in steps if s.evaluation is not None]
    assert [(s.step, s.is_best) for s in checks] == [(2, True), (4, True), (6, False)]
    assert [s.validation_loss for s in checks] == [3.0, 1.0, 2.0]
    assert load_model(out).info.steps == 4


def test_the_validation_loss_is_that_of_fresh_data(out):
    """A network that has learned nothing has a loss that falls with the first steps."""
    steps = list(train(CONFIG.replace(steps=30, validate_every=15, average=0.5), PSF, out))
    first, last = (s.validation_loss for s in steps if s.evaluation is not None)
    assert last < first
    assert all(math.isnan(s.validation_loss) for s in steps if s.evaluation is None)


def test_a_diverged_run_goes_back_and_on_at_half_the_rate(out, monkeypatch):
    guard = Saboteur(bad=(3,))
    monkeypatch.setattr(trainer, "Guard", lambda: guard)
    config = CONFIG.replace(steps=6, warmup_steps=0, optimizer="adamw")
    run = train(config, PSF, out)
    first = [next(run) for _ in range(3)]
    assert "half the learning rate" in first[-1].note
    rest = list(run)
    assert [s.step for s in rest] == [4, 5, 6, 6]
    assert first[1].learning_rate > 1.5 * rest[0].learning_rate


def test_a_run_that_diverges_again_and_again_says_so(out, monkeypatch):
    guard = Saboteur(bad=range(100))
    monkeypatch.setattr(trainer, "Guard", lambda: guard)
    with pytest.raises(TrainingError, match="lower learning rate"):
        list(train(CONFIG.replace(steps=50), PSF, out))


class Saboteur:
    """A guard that calls given steps a divergence."""

    def __init__(self, bad):
        self.bad, self.step = bad, 0

    def diverged(self, loss, finite):
        self.step += 1
        return self.step in self.bad


FLAT = evaluate(
    Localizations.from_columns(frame=[0], x=[1.0], y=[1.0], z_nm=[0.0]),
    Emitters(frame=[0], x=[1.0], y=[1.0], z_nm=[0.0], photons=[1000.0], id=[0]),
    100.0,
)


NAMES = [field.name for field in fields(IsolatedAccuracy)]
NOTHING = IsolatedAccuracy(**dict.fromkeys(NAMES, np.array([1.0])))


def test_isolated_molecules_are_reported_beside_the_bound(out):
    last = list(train(CONFIG, PSF, out))[-2]
    assert len(last.isolated.z_nm) == len(last.isolated.crlb_x_nm)
    assert (last.isolated.crlb_x_nm > 0).all()


def test_minutes_end_a_run(out):
    steps = list(train(CONFIG.replace(minutes=1e-9), PSF, out))
    assert [s.step for s in steps] == [1, 1]
    assert steps[0].evaluation is not None


def test_a_run_stopped_while_it_is_tested_keeps_its_model(out, monkeypatch):
    stop = threading.Event()

    def look(path, *, progress, **_):
        stop.set()
        progress("testing", 0.5)

    monkeypatch.setattr(trainer, "finish_model", look)
    steps = list(train(CONFIG, PSF, out, stop=stop))
    assert "before the model was calibrated" in steps[-1].note
    assert load_model(out).info.steps > 0


def test_training_lowers_the_loss(out):
    steps = list(train(CONFIG.replace(steps=40, batch=4, validate_every=40), PSF, out))
    first = sum(s.losses["localization"] for s in steps[:5]) / 5
    last = sum(s.losses["localization"] for s in steps[-6:-1]) / 5
    assert last < first - 0.5


def test_targets_are_the_bright_emitters_of_inner_frames(emitter_batch):
    batch = SimulatedBatch(torch.zeros(2, 4, 16, 16), emitter_batch, torch.ones(2, 16, 16))
    t = make_targets(batch, window=3, min_photons=100)
    assert t.image.tolist() == [0, 3]
    assert t.row.tolist() == [3, 15]
    assert t.col.tolist() == [4, 0]
    assert t.counts().tolist() == [1, 0, 0, 1]
    assert t.occupancy().sum() == 2
    assert t.occupancy()[3, 15, 0] == 1
