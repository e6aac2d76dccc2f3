"""What a measurement ran on, in words."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.subjects import node_command, python_command


def described() -> dict[str, str]:
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _of_proc("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": f"{int(_of_proc('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": _python(),
        "gunicorn": version("gunicorn"),
        "flask": version("flask"),
        "node": _node(),
    }


def _of_proc(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name))


def _python() -> str:
    """Which one, and who built it: with profile-guided optimization it takes a tenth less."""
    script = "import sys; print(sys.version.split()[0], 'in', sys.base_prefix)"
    told = subprocess.run([python_command(), "-c", script], capture_output=True, text=True)
    return told.stdout.strip()


def _node() -> str:
    try:
        told = subprocess.run([node_command(), "--version"], capture_output=True, text=True)
        return told.stdout.strip() or "none"
    except OSError:
        return "none"
