import sys

import pytest

from napari_dilatedloc.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Call ``dilatedloc ...``; gives exit status, standard output and standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["dilatedloc", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call
