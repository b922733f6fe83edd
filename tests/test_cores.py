import os
import subprocess
import sys

import pytest

from napari_dilatedloc import cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_a_process_bound_to_one_core_uses_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from napari_dilatedloc.cores import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(("there", "ours"), [(1, 1), (2, 2), (3, 2), (16, 15)])
def test_a_core_is_left_to_napari(monkeypatch, there, ours):
    monkeypatch.setattr(cores, "usable_cores", lambda: there)
    assert cores.cores_beside_napari() == ours
