import numpy as np
import pytest
from scipy.spatial import KDTree

from napari_dilatedloc.analysis import linking
from napari_dilatedloc.analysis.linking import link
from napari_dilatedloc.config import load_yaml, save_yaml
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.table import Localizations, TableInfo

PIXEL = 100.0
INFO = TableInfo(PIXEL, (256, 256), 1000)


def blinks(table, pixel_size_nm, config):
    return linking.blinks(lambda: [table], pixel_size_nm, config)[1]


def blinking(molecules, frames, size_px, *, mean_on=5.0, dark=0.0, seed=0, sigma=(5.0, 15.0)):
    """Molecules that shine once; `dark` of their frames are missed. The molecule of each row."""
    rng = np.random.default_rng(seed)
    on = rng.geometric(1 / mean_on, molecules)
    molecule = np.repeat(np.arange(molecules), on)
    frame = (
        np.concatenate([np.arange(n) for n in on]) + rng.integers(0, frames, molecules)[molecule]
    )
    kept = rng.random(len(molecule)) >= dark
    molecule, frame = molecule[kept], frame[kept]
    n = len(molecule)
    s = rng.uniform(*sigma, n)
    y, x = rng.uniform(0, size_px, (2, molecules))
    z = rng.uniform(-400, 400, molecules)
    table = Localizations.from_columns(
        frame=frame,
        x=x[molecule] + rng.normal(size=n) * s / PIXEL,
        y=y[molecule] + rng.normal(size=n) * s / PIXEL,
        z_nm=z[molecule] + rng.normal(size=n) * 2 * s,
        photons=rng.exponential(1000, n),
        bg=rng.uniform(5, 15, n),
        prob=rng.uniform(0.5, 1, n),
        sigma_x=s / PIXEL,
        sigma_y=s / PIXEL,
        sigma_z_nm=2 * s,
        sigma_photons=rng.uniform(10, 30, n),
    )
    order = np.argsort(frame, kind="stable")
    return table[order], molecule[order], np.stack([z, y * PIXEL, x * PIXEL], axis=1)


def brute(table, config):
    """Blinks by loops: gap by gap, the closest pair of all that are open."""
    zyx = np.stack([table.z_nm, table.y * PIXEL, table.x * PIXEL], axis=1).astype(float)
    sigma = np.stack([table.sigma_z_nm, table.sigma_y * PIXEL, table.sigma_x * PIXEL], axis=1)
    before, followed = {}, set()
    for gap in range(1, config.dark_frames + 2):
        near = []
        for i in range(len(table)):
            for j in np.flatnonzero(table.frame == table.frame[i] + gap):
                z, y, x = zyx[i] - zyx[j]
                v = sigma[i].astype(float) ** 2 + sigma[j].astype(float) ** 2
                lateral = y**2 / v[1] + x**2 / v[2]
                if config.distance_nm is not None:
                    axial = z**2 / config.axial_nm**2
                    lateral = (y**2 + x**2) / config.distance_nm**2
                    if lateral <= 1 and axial <= 1:
                        near.append((lateral + axial, i, j))
                elif y**2 + x**2 <= config.limit_nm**2:
                    axial = z**2 / v[0]
                    if lateral <= config.sigmas**2 and axial <= config.sigmas**2:
                        near.append((lateral + axial, i, j))
        for _, i, j in sorted(near):
            if i not in followed and j not in before:
                before[j] = i
                followed.add(i)
    number, count = {}, 0
    for row in range(len(table)):
        number[row] = number[before[row]] if row in before else count
        count += row not in before
    return np.array([number[row] for row in range(len(table))])


@pytest.mark.parametrize(
    "config",
    [
        LinkingConfig(dark_frames=0),
        LinkingConfig(dark_frames=3, sigmas=2.0),
        LinkingConfig(dark_frames=2, sigmas=20.0, limit_nm=60.0),
        LinkingConfig(distance_nm=40.0, axial_nm=100.0, dark_frames=1),
    ],
)
@pytest.mark.parametrize("size_px", [3, 12])  # crowded, where links compete, and not
def test_links_are_those_of_loops(config, size_px):
    table, _, _ = blinking(80, 30, size_px, dark=0.2)
    np.testing.assert_array_equal(blinks(table, PIXEL, config), brute(table, config))


def test_no_two_rows_of_a_blink_share_a_frame():
    table, _, _ = blinking(3000, 40, 20, dark=0.1)
    blink = blinks(table, PIXEL, LinkingConfig(dark_frames=2))
    assert len(np.unique(np.stack([blink, table.frame]), axis=1).T) == len(table)


@pytest.mark.parametrize(("dark", "dark_frames"), [(0.0, 0), (0.15, 3)])
def test_the_number_of_molecules_comes_out(dark, dark_frames):
    table, molecule, _ = blinking(4000, 1000, 256, dark=dark)
    merged, info = link(table, INFO, LinkingConfig(dark_frames=dark_frames))
    assert len(merged) == pytest.approx(len(np.unique(molecule)), rel=0.02)
    assert merged.photons.sum(dtype=float) == pytest.approx(table.photons.sum(dtype=float))
    assert merged.extra["linked"].sum() == len(table)
    assert info.recipe[-1].name == "link"
    assert info.recipe[-1].rows == len(merged)
    assert info.recipe[-1].settings == {
        "sigmas": 4.0,
        "limit_nm": 150.0,
        "dark_frames": dark_frames,
    }


def test_the_error_of_a_blink_is_what_its_sigma_says():
    table, _, truth = blinking(5000, 4000, 256, seed=3)
    merged, _ = link(table, INFO, LinkingConfig(dark_frames=0))
    yx = np.stack([merged.y, merged.x], axis=1) * PIXEL
    _, nearest = KDTree(truth[:, 1:]).query(yx)
    error = (yx[:, 1] - truth[nearest, 2]) / (merged.sigma_x * PIXEL)
    assert np.std(error) == pytest.approx(1.0, abs=0.03)
    error = (merged.z_nm - truth[nearest, 0]) / merged.sigma_z_nm
    error = error[np.abs(error) < 6]  # beyond: another molecule was nearer
    assert len(error) > 0.99 * len(merged)
    assert np.std(error) == pytest.approx(1.0, abs=0.03)


def test_sigma_falls_with_the_root_of_the_count():
    table, _, _ = blinking(2000, 4000, 256, sigma=(10.0, 10.0), seed=5)
    merged, _ = link(table, INFO)
    expected = 10.0 / np.sqrt(merged.extra["linked"])
    np.testing.assert_allclose(merged.sigma_x * PIXEL, expected, rtol=1e-4)
    np.testing.assert_allclose(merged.sigma_z_nm, 2 * expected, rtol=1e-4)


def test_one_blink_by_hand():
    table = Localizations.from_columns(
        frame=[6, 4, 5],  # in any order
        x=[10.3, 10.0, 10.1],
        y=[5.0, 5.0, 5.0],
        z_nm=[np.nan] * 3,
        photons=[100, 300, 500],
        bg=[1, 2, 6],
        prob=[0.5, 0.9, 0.7],
        sigma_x=[0.2, 0.1, 0.1],
        sigma_y=[0.1, 0.1, 0.1],
        sigma_photons=[4, 3, 12],
        extra={"chi": np.array([3.0, 1.0, 2.0], np.float32), "id": np.array([7, 8, 9], np.int16)},
    )
    merged, _ = link(table, INFO)
    assert len(merged) == 1
    assert (merged.frame[0], merged.extra["last_frame"][0], merged.extra["linked"][0]) == (4, 6, 3)
    assert merged.x[0] == pytest.approx((25 * 10.3 + 100 * 10.0 + 100 * 10.1) / 225)
    assert merged.sigma_x[0] == pytest.approx(1 / 15)
    assert merged.photons[0] == 900
    assert merged.sigma_photons[0] == pytest.approx(13)
    assert (merged.bg[0], merged.prob[0]) == (3, np.float32(0.9))
    assert np.isnan(merged.z_nm[0])
    assert np.isnan(merged.sigma_z_nm[0])
    assert merged.extra["chi"][0] == 2
    assert merged.extra["id"][0] == 8  # of the first
    assert merged.extra["id"].dtype == np.int16


def test_linking_in_two_goes_is_linking_at_once():
    table, _, _ = blinking(400, 400, 256, dark=0.3, seed=7)
    wide = LinkingConfig(distance_nm=100.0, dark_frames=4)
    first, info = link(table, INFO, wide.replace(dark_frames=0))
    twice, info = link(first, info, wide)
    once, _ = link(table, INFO, wide)
    assert len(once) < len(first)
    assert len(info.recipe) == 2
    for name in ("frame", "x", "y", "z_nm", "photons", "sigma_x"):
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), rtol=1e-4)
    np.testing.assert_array_equal(twice.extra["linked"], once.extra["linked"])
    np.testing.assert_array_equal(twice.extra["last_frame"], once.extra["last_frame"])


def test_a_table_without_precision_needs_a_distance():
    table = Localizations.from_columns(frame=[0, 1], x=[1.0, 1.2], y=[1.0, 1.0])
    with pytest.raises(ValueError, match="lacks; give distance_nm"):
        link(table, INFO)
    merged, _ = link(table, INFO, LinkingConfig(distance_nm=30.0))
    assert merged.x[0] == pytest.approx(1.1)  # a plain mean
    assert np.isnan(merged.sigma_x[0])


def test_rows_of_perfect_or_unknown_precision_or_place_do_no_harm():
    table = Localizations.from_columns(
        frame=[0, 1, 1, 2, 3],
        x=[1.0, 1.0, np.nan, 1.0, 1.0],
        y=[1.0] * 5,
        sigma_x=[0.0, 0.1, 0.1, np.nan, 0.1],
        sigma_y=[0.0, 0.1, 0.1, 0.1, 0.1],
        photons=[1, 2, 4, 8, 16],
    )
    merged, _ = link(table, INFO, LinkingConfig(dark_frames=1))
    assert sorted(merged.photons) == [4, 8, 19]  # 0 -> 1 -> (dark) -> 3
    assert np.isfinite(merged.x).sum() == 2


def test_an_empty_table():
    merged, info = link(Localizations.empty(), INFO)
    assert len(merged) == 0
    assert set(merged.extra) == {"linked", "last_frame"}
    assert info.recipe[-1].rows == 0


def test_settings_as_yaml(tmp_path):
    config = LinkingConfig(distance_nm=50.0, dark_frames=3)
    save_yaml(config, tmp_path / "link.yaml")
    assert load_yaml(LinkingConfig, tmp_path / "link.yaml") == config
    assert config.settings() == {"distance_nm": 50.0, "dark_frames": 3}


def test_linked_rows_beside_rows_that_never_were():
    """Joined tables have NaN where one lacks a column: such a row is one row of one frame."""
    linked, _ = link(blinking(200, 50, 60)[0], INFO)
    more = blinking(100, 50, 60, seed=1)[0]
    both = Localizations.concatenate([linked, more.replace(x=more.x + 200)])
    again, _ = link(both, INFO)
    assert again.extra["linked"].sum() == linked.extra["linked"].sum() + len(more)
    assert again.extra["last_frame"].max() == max(
        linked.extra["last_frame"].max(), more.frame.max()
    )
    apart, _ = link(more, INFO)
    assert len(again) == len(link(linked, INFO)[0]) + len(apart)
