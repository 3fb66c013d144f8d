"""
Say which real backends the tests talk to, where each is found, and how to have it.

Read by provision.py, which makes them, and by tests/support/backends.py, which starts them.
Standard library only: provision.py must run before any environment exists.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECIPE_SOURCES = ("go.mod", "go.sum", "manifest.yaml")
RECIPE_FILE = "recipe.sha256"


class BackendMissing(RuntimeError):
    """A backend is not on this machine; the message has the command that installs it."""


def in_ci() -> bool:
    """Say whether a missing backend is a failure, as CI wants, or a notice, as a person wants."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def cache_dir() -> Path:
    """Return the folder, outside the work tree, that keeps what was built."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache_home) / "otel-parsl" / "backends"


def find_go() -> Path | None:
    """Return the go command: of the PATH, else where Go's and Debian's installers put it."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin", "/usr/lib/go/bin"])
    found = shutil.which("go", path=search)
    return Path(found) if found else None


@dataclass(frozen=True, kw_only=True)
class GoBackend:
    """A server that Go builds from the pinned module in a folder beside this file."""

    name: str
    version_of: str
    """Module path whose version in go.mod is the backend's version."""
    package: str
    """What `go build` is told to build."""
    has_generated_main: bool = False
    """Whether the OpenTelemetry Collector's builder makes the main package first."""
    minutes: str
    """How long a first build takes on two cores, said before it starts."""

    @property
    def module_dir(self) -> Path:
        """The folder that holds go.mod and go.sum."""
        return HERE / self.name

    @property
    def version(self) -> str:
        """The version that go.mod asks for, without its v."""
        line = rf"^(?:require|)\s*{re.escape(self.version_of)} v(\S+)"
        match = re.search(line, self._go_mod(), re.MULTILINE)
        if match is None:
            raise LookupError(f"{self.module_dir}/go.mod: no version of {self.version_of}.")
        return match[1]

    @property
    def go_version(self) -> str:
        """The oldest Go that builds it."""
        match = re.search(r"^go (\S+)", self._go_mod(), re.MULTILINE)
        if match is None:
            raise LookupError(f"{self.module_dir}/go.mod: no `go` line.")
        return match[1]

    @property
    def install_dir(self) -> Path:
        """Where the finished build is, or will be."""
        return cache_dir() / f"{self.name}-{self.version}"

    @property
    def title(self) -> str:
        """Name and version for people."""
        return f"{self.name} {self.version}"

    @property
    def install_command(self) -> str:
        """What a person types to have it."""
        command = f"python tests/backends/provision.py --only {self.name}"
        if find_go() is None:
            return (
                f"install Go {self.go_version} or newer so that `go` is on the PATH, then {command}"
            )
        return command

    def recipe(self) -> str:
        """Return the digest of all that decides what is built, so that a change rebuilds."""
        digest = hashlib.sha256()
        for name in RECIPE_SOURCES:
            source = self.module_dir / name
            digest.update(source.read_bytes() if source.is_file() else b"")
            digest.update(b"\0")
        return digest.hexdigest()

    def find(self) -> Path | None:
        """Return the finished server program, or None where it is missing or of another recipe."""
        recipe = self.install_dir / RECIPE_FILE
        program = self.install_dir / self.name
        is_current = recipe.is_file() and recipe.read_text() == self.recipe()
        return program if is_current and program.is_file() else None

    def _go_mod(self) -> str:
        return (self.module_dir / "go.mod").read_text()


@dataclass(frozen=True, kw_only=True)
class DebianBackend:
    """A program that a Debian package installs."""

    name: str
    package: str
    program: str
    versioned_dirs: str = ""
    """Glob of folders outside the PATH that hold the program, the version in the folder above."""
    minutes: str

    @property
    def title(self) -> str:
        """Name for people; the version is the distribution's."""
        return self.name

    @property
    def install_command(self) -> str:
        """What a person types to have it."""
        return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install {self.package}"

    def find(self) -> Path | None:
        """Return the program: the newest of its versioned folders, else that of the PATH."""
        if self.versioned_dirs:
            folders = sorted(Path("/").glob(self.versioned_dirs), key=_version_of_folder)
            programs = [folder / self.program for folder in folders]
            installed = [program for program in programs if program.is_file()]
            if installed:
                return installed[-1]
        found = shutil.which(self.program)
        return Path(found).resolve() if found else None


def _version_of_folder(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", folder.parent.name))


Backend = GoBackend | DebianBackend

JAEGER = GoBackend(
    name="jaeger",
    version_of="github.com/jaegertracing/jaeger",
    package="github.com/jaegertracing/jaeger/cmd/jaeger",
    minutes="4 to 8 minutes",
)
OTELCOL = GoBackend(
    name="otelcol",
    version_of="go.opentelemetry.io/collector/otelcol",
    package="./distribution",
    has_generated_main=True,
    minutes="2 to 3 minutes",
)
POSTGRES = DebianBackend(
    name="postgres",
    package="postgresql",
    program="initdb",
    versioned_dirs="usr/lib/postgresql/*/bin",
    minutes="about a minute",
)
PROMETHEUS = DebianBackend(
    name="prometheus", package="prometheus", program="prometheus", minutes="about a minute"
)
CHROMIUM = DebianBackend(
    name="chromium", package="chromium", program="chromium", minutes="about 2 minutes"
)
BTRFS = DebianBackend(
    name="btrfs", package="btrfs-progs", program="mkfs.btrfs", minutes="some seconds"
)
"""A filesystem with quotas of its own, for a file of a test's."""
BINDFS = DebianBackend(name="bindfs", package="bindfs", program="bindfs", minutes="some seconds")
"""A filesystem that is not the kernel's own, as those that several machines have mounted."""

DEFAULT = (JAEGER, OTELCOL, POSTGRES, CHROMIUM, BTRFS, BINDFS)
OPTIONAL = (PROMETHEUS,)
BY_NAME: dict[str, Backend] = {backend.name: backend for backend in (*DEFAULT, *OPTIONAL)}


def require(backend: Backend) -> Path:
    """
    Return the program of a backend.

    Raises:
        BackendMissing: When it is not provisioned.
    """
    program = backend.find()
    if program is None:
        raise BackendMissing(
            f"{backend.title} is not on this machine. To have it: {backend.install_command}"
        )
    return program
