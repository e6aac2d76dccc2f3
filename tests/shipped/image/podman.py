"""Podman in the place of a Docker engine: builds the Dockerfile, and runs what came out.

It runs containers by runc, as Docker does. The base image is made here out of Debian's packages,
so that no registry is asked; PYTHON_IMAGE names another one.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".sandbox" / "image"
TOOLS = ("podman", "runc", "debootstrap")
IMAGE = "localhost/portal_service"
LOCAL_BASE = "localhost/python-of-debian"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # those of a company's proxy too

# Without cgroups, systemd or a network of its own, so that it runs inside of a container as well.
_PODMAN = ["podman", f"--root={FOLDER / 'storage'}", f"--runroot={FOLDER / 'run'}",
           "--runtime=runc", "--cgroup-manager=cgroupfs"]  # fmt: skip
_LIMITS = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]  # Podman's may be refused
_RUN = ["run", "--network=host", "--passwd=false", *_LIMITS, "--cap-drop=all",
        "--security-opt=no-new-privileges"]  # fmt: skip
_READ_ONLY = ["--read-only", "--read-only-tmpfs=false"]


def why_not() -> str | None:
    """Why this machine cannot build the image, if it cannot."""
    if not Path("/etc/debian_version").exists() or os.geteuid() != 0:
        return "the image is built here as root on Debian only"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"the image needs: apt-get install {' '.join(missing)}" if missing else None


def podman(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*_PODMAN, *arguments],
        env=os.environ | {"DISABLE_HC_SYSTEMD": "true"},  # `podman healthcheck` is called by hand
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=check,
        text=True,
    )


def base() -> str:
    """The image that stands in for python:3.14-slim; made once, then kept."""
    if other := os.environ.get("PYTHON_IMAGE"):
        return other
    if podman("image", "exists", LOCAL_BASE, check=False).returncode != 0:
        _make_base()
    return LOCAL_BASE


def _make_base() -> None:
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    packages = "ca-certificates,python3-pip,python3-venv"
    root = FOLDER / "base"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", release, str(root)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    left_out = [f"--exclude=./{path}/*" for path in ("dev", "var/cache/apt", "var/lib/apt/lists")]
    tar = FOLDER / "base.tar"
    subprocess.run(["tar", "-C", str(root), *left_out, "-cf", str(tar), "."], check=True)
    podman("import", str(tar), LOCAL_BASE)
    tar.unlink()
    shutil.rmtree(root)


def build(context: Path) -> str:
    podman(
        "build",
        "--layers=false",
        "--format=docker",  # the other one knows no HEALTHCHECK
        "--isolation=chroot",
        "--network=host",
        f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
        f"--build-arg=PYTHON_IMAGE={base()}",
        f"--tag={IMAGE}",
        str(context),
    )
    podman("image", "prune", "--force")  # what had the tag before
    return IMAGE


def run(
    image: str, *command: str, options: Sequence[str] = _READ_ONLY, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """A command to its end, in a container of its own; without one, what the image starts."""
    return podman(*_RUN, "--rm", *options, image, *command, check=check)


class Container:
    """What the image starts, on a read-only file system, until it is left."""

    def __init__(self, image: str, environ: dict[str, str], *options: str) -> None:
        told = [f"--env={name}={value}" for name, value in environ.items()]
        started = podman(*_RUN, "--detach", *_READ_ONLY, *told, *options, image)
        self.id = started.stdout.strip()

    def inspect(self, template: str) -> str:
        return podman("inspect", f"--format={template}", self.id).stdout.strip()

    def log(self) -> str:
        said = podman("logs", self.id)
        return said.stdout + said.stderr

    def healthcheck(self) -> int:
        """How the image's own HEALTHCHECK ends."""
        return podman("healthcheck", "run", self.id, check=False).returncode

    def stop(self) -> int:
        """What `docker stop` does; the status with which the service ended."""
        podman("stop", "--time=30", self.id)
        return int(self.inspect("{{.State.ExitCode}}"))

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        podman("rm", "--force", "--time=0", self.id)
