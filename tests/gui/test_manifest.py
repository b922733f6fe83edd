import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_dilatedloc

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
