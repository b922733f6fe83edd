"""What a benchmark ran on; a number without it means nothing."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch

from napari_dilatedloc import __version__
from napari_dilatedloc.cores import usable_cores

Machine = dict[str, str | int | None]


def describe_machine() -> Machine:
    """Processor, cores, threads, graphics card, system and versions."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "napari_dilatedloc": __version__,
    }


def cpu_model() -> str:
    """Name of the processor as its maker calls it, or what the system knows of it."""
    try:
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except (OSError, subprocess.SubprocessError):
        pass  # no such file or program: another system
    return platform.processor() or platform.machine()
