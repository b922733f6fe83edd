"""What holds for the package as a whole: what an import loads, what is declared, what docs say."""

import ast
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest
import typer
import yaml

import napari_dilatedloc
from napari_dilatedloc import cli
from napari_dilatedloc.config import CameraConfig, load_yaml

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_dilatedloc.__file__).parent
HEAVY = ("torch", "napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6")
NUMPY_ROOMS = (
    "table",
    "config",
    "files",
    "render",
    "evaluation",
    "io",
    "analysis",
    "network.shipped",
)
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def loaded_by(modules):
    """Heavy packages in `sys.modules` after importing modules in a fresh interpreter."""
    code = (
        "import importlib, sys\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if not k.startswith("COV_")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def modules_of(room):
    """The room and, if it is a folder, all modules in it."""
    folder = PACKAGE / room
    inside = [f".{found.name}" for found in pkgutil.iter_modules([str(folder)])]
    return [f"napari_dilatedloc.{room}{tail}" for tail in ("", *inside)]


def test_import_of_the_package_loads_nothing_heavy():
    assert loaded_by(["napari_dilatedloc"]) == []


def test_numpy_rooms_load_neither_torch_nor_qt():
    modules = [module for room in NUMPY_ROOMS for module in modules_of(room)]
    assert "napari_dilatedloc.io.tables" in modules
    assert loaded_by(modules) == []


def test_help_of_the_command_line_does_not_wait_for_torch():
    assert loaded_by(["napari_dilatedloc.cli"]) == []


def test_the_check_sees_a_heavy_import():
    assert loaded_by(["qtpy.QtCore"]) != []


def test_console_script_is_the_command_line():
    (script,) = entry_points(group="console_scripts", name="dilatedloc")
    assert script.load() is cli.main


def test_manifest_entry_point_and_its_python_names():
    (entry,) = entry_points(group="napari.manifest", name="napari-dilatedloc")
    assert entry.value == "napari_dilatedloc:napari.yaml"
    manifest = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))
    for command in manifest["contributions"]["commands"]:
        module, _, name = command["python_name"].partition(":")
        source = (PACKAGE.parent / Path(*module.split("."))).with_suffix(".py")
        defined = {
            node.name
            for node in ast.parse(source.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert name in defined, command["id"]


def names_imported(source):
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def canonical(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names_of(requirements):
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def declared_dependencies():
    return names_of(project()["dependencies"])


EXTRAS = {
    "cluster": {"cluster.py", "scaling.py"},
    "openvino": {"engine_openvino.py"},
    "onnx": {"onnx_export.py"},
}
"""Optional dependencies, and the only files that may import them."""


def test_extras_are_imported_where_they_may_be_missing():
    for extra, files in EXTRAS.items():
        names = names_of(project()["optional-dependencies"][extra])
        importing = {
            file.name for file in PACKAGE.rglob("*.py") if names & set(names_imported(file))
        }
        assert importing <= files, extra


def test_every_import_is_a_declared_dependency():
    providers = packages_distributions()
    imported = {name for file in PACKAGE.rglob("*.py") for name in names_imported(file)}
    foreign = imported - set(sys.stdlib_module_names) - {"napari_dilatedloc"}
    assert "numpy" in foreign
    undeclared = {
        name
        for name in foreign
        if not {canonical(d) for d in providers.get(name, [])} & declared_dependencies()
    }
    optional = [project()["optional-dependencies"][extra] for extra in EXTRAS]
    assert undeclared <= {name for lines in optional for name in names_of(lines)}


def test_base_dependencies_bring_no_qt_binding():
    qt = {"pyqt5", "pyqt6", "pyside2", "pyside6"}
    assert not qt & declared_dependencies()


def test_constraints_pin_torch_and_every_dependency():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin) for pin in pins)
    assert {canonical(pin.partition("==")[0]) for pin in pins} >= declared_dependencies()
    assert "torch==2.13.0" in pins


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    missing = [target for target in local if not (document.parent / target).is_file()]
    assert missing == []


def blocks(document, language):
    """Fenced code of one language, also where a list indents it."""
    text = document.read_text(encoding="utf-8")
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, flags=re.DOTALL | re.MULTILINE)
    return [re.sub(r"\\\n\s*", " ", block) for block in found]


def documented_commands(document):
    """Commands in fences and in inline code that begin with ``dilatedloc``."""
    lines = [line.strip() for block in blocks(document, "bash") for line in block.splitlines()]
    text = document.read_text(encoding="utf-8")
    inline = re.findall(r"`(dilatedloc [a-z][^`]*)`", text)
    lines += [" ".join(code.split()) for code in inline]
    return [line for line in lines if line.startswith("dilatedloc ")]


@pytest.fixture(scope="module")
def commands():
    return typer.main.get_command(cli.app).commands


def parse(commands, line):
    """Name, values and arguments left over, by the command line's own parser."""
    _, name, *rest = shlex.split(line, comments=True)
    command = commands[name]
    if isinstance(command, typer.core.TyperGroup):
        command = command.commands[rest.pop(0)]
    parser = command.make_parser(command.context_class(command))
    values, left, _ = parser.parse_args(rest)  # raises on an unknown option
    required = {p.name for p in command.params if p.required}
    return name, {k: v for k, v in values.items() if v is not None}, left, required


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_commands_exist_with_their_options(document, commands):
    for line in documented_commands(document):
        name, values, left, required = parse(commands, line)
        assert not left, line
        if document.name == "README.md" and values:
            assert required <= values.keys(), f"{line}: lacks {required - values.keys()} of {name}"


def test_readme_shows_every_command(commands):
    shown = {
        shlex.split(line, comments=True)[1] for line in documented_commands(ROOT / "README.md")
    }
    assert shown == set(commands)


def test_the_check_of_commands_sees_a_wrong_option(commands):
    with pytest.raises(Exception, match="--pixel-sise"):
        parse(commands, "dilatedloc evaluate a.csv b.csv --pixel-sise 100")


def test_readme_targets_of_make_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert set(named) >= {"demo", "demo-gui", "test", "check"}
    assert set(named) <= set(targets)


def test_readme_camera_settings_are_valid(tmp_path):
    (text,) = (block for block in blocks(ROOT / "README.md", "yaml") if "kind:" in block)
    path = tmp_path / "camera.yaml"
    path.write_text("\n".join(line.strip() for line in text.splitlines()), encoding="utf-8")
    camera = load_yaml(CameraConfig, path)
    assert (camera.kind, camera.e_per_adu, camera.qe) == ("scmos", 0.47, 0.9)


@pytest.mark.parametrize("script", ["scripts/setup.sh", ".ci/run"])
def test_scripts_are_executable_bash(script):
    path = ROOT / script
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    if os.name == "posix":
        assert os.access(path, os.X_OK)
        subprocess.run(["bash", "-n", str(path)], check=True)
