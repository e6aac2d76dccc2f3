"""Wheel and sdist, built into dist/, and an environment that holds the wheel."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DIST = ROOT / "dist"


def build(*options: str) -> None:
    """By the hatchling that is pinned: no environment of its own, nothing is downloaded."""
    command = [sys.executable, "-m", "build", "--no-isolation", *options, str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)


def build_anew() -> Path:
    """The wheel, built from the sdist, which lies beside it; dist/ holds nothing else then."""
    shutil.rmtree(DIST, ignore_errors=True)
    build("--outdir", str(DIST))
    (wheel,) = DIST.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with the wheel, what it needs as pinned, and no pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    wanted = folder / "wheel.txt"
    wanted.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    pins = ["--require-hashes", "--only-binary=:all:", "-c", str(ROOT / "requirements.txt")]
    said = subprocess.run(
        [*pip, "--disable-pip-version-check", *pins, "-r", str(wanted)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr
    return python
