import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_dilatedloc
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.preferences import Preferences, preferences
from napari_dilatedloc.io.tables import KIND_OF_SUFFIX

MANIFEST = Path(napari_dilatedloc.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(MANIFEST)


def test_npe2_finds_it_valid():
    command = [sys.executable, "-m", "npe2", "validate", str(MANIFEST)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_menu_can_be_contributed_to(manifest):
    from napari._app_model.constants import MenuId

    allowed = {menu.value for menu in MenuId.contributables()}
    assert manifest.contributions.menus
    assert set(manifest.contributions.menus) <= allowed


def test_every_command_used_exists_and_imports(manifest):
    parts = manifest.contributions
    commands = {command.id: command for command in parts.commands}
    used = [
        item.command for group in (parts.widgets, parts.readers, parts.writers) for item in group
    ]
    used += [item.command for item in parts.sample_data]
    used += [item.command for items in parts.menus.values() for item in items]
    assert set(used) == set(commands)
    for command in commands.values():
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name))


def test_titles_are_short_commands_in_english(manifest):
    """Napari adds the plugin's name, so it must not stand in them but where it is the subject."""
    for command in manifest.contributions.commands:
        assert re.fullmatch(r"[A-Z][a-z]+( [A-Za-z]+){1,6}", command.title), command.title
        assert command.title.split()[0] in {"Open", "Localize", "Calibrate", "Export", "Save"}


def test_every_table_that_io_knows_can_be_dropped_and_saved(manifest):
    (reader,), (writer,) = manifest.contributions.readers, manifest.contributions.writers
    patterns = {pattern.lstrip("*") for pattern in reader.filename_patterns}
    assert patterns == {*KIND_OF_SUFFIX, ".txt"}  # rapidSTORM and N-STORM, which are only read
    assert set(writer.filename_extensions) == set(KIND_OF_SUFFIX)


def test_preferences_are_those_of_the_manifest(manifest):
    groups = manifest.contributions.configurations
    assert groups["compute"].properties["device"].default == LocalizeConfig().device
    assert preferences() == Preferences()


def test_preferences_that_are_set_are_used(tmp_path):
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings("napari-dilatedloc")
    settings.compute.device = "cpu"
    settings.compute.threads = 3
    settings.folders.models = str(tmp_path)
    assert preferences() == Preferences("cpu", 3, tmp_path)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        settings.compute.threads = -1


def test_the_name_is_the_distributions(manifest):
    assert manifest.name == "napari-dilatedloc"
    assert manifest.package_version == napari_dilatedloc.__version__


@pytest.mark.parametrize("module", ["dock", "hooks"])
def test_forms_open_before_torch_is_loaded(module):
    code = (
        f"import sys, warnings; warnings.simplefilter('ignore'); "
        f"import napari_dilatedloc.gui.{module}; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
