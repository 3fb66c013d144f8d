"""
Make the real backends of the tests available, and say which are missing and how to have them.

A second run finds everything and ends at once.
A build appears under its final name only when it is whole, so an interrupted one is begun again.
Standard library only; nothing is fetched but through `go` and `apt-get` as the machine has them.

Usage: python tests/backends/provision.py [--only NAME ...] [--prometheus] [--check]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Run by its path: the folder above tests/ is not importable by itself.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.backends import catalogue
from tests.backends.catalogue import Backend, DebianBackend, GoBackend

PROGRESS_INTERVAL_S = 10.0
APT_LOCK_TIMEOUT_S = 300
DOWNLOAD_ATTEMPTS = 3
# A compiler that neither optimises nor looks for garbage while it has memory takes half the time;
# of what it makes the tests ask little.
QUICK_FLAGS = "-trimpath '-gcflags=all=-N -l'"
QUICK_BUILD = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
POSTGRES_NO_SERVICE = Path("/etc/postgresql-common/createcluster.d/otel-parsl-tests.conf")


class Unavailable(Exception):
    """A backend cannot be had here; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Provision what was asked for and return the exit code: 1 if something is missing in CI."""
    options = _parse(arguments)
    chosen = _chosen(options)
    # Else a `kill` would leave the compiler running and a half-made folder behind.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    _say(f"Backends of the tests, kept in {catalogue.cache_dir()}")
    for backend in chosen:
        _say(f"  {backend.title:<16} {_plan(backend)}")
    missing: list[tuple[Backend, str]] = []
    for backend in chosen:
        if backend.find() is not None:
            continue
        try:
            if options.check:
                raise Unavailable("not provisioned")
            _provision(backend)
        except Unavailable as obstacle:
            missing.append((backend, str(obstacle)))
    if not missing:
        _say("All ready: " + ", ".join(backend.title for backend in chosen) + ".")
        return 0
    for backend, reason in missing:
        _say(f"Missing: {backend.title}: {reason}. To have it: {backend.install_command}")
    return 1 if catalogue.in_ci() else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the real backends of the tests available.")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=sorted(catalogue.BY_NAME), help="these alone"
    )
    parser.add_argument("--prometheus", action="store_true", help="Prometheus too")
    parser.add_argument("--check", action="store_true", help="build nothing, say what is missing")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> list[Backend]:
    wanted: list[Backend] = [*catalogue.DEFAULT]
    if options.only:
        wanted = [catalogue.BY_NAME[name] for name in dict.fromkeys(options.only)]
    for backend in catalogue.OPTIONAL:
        if getattr(options, backend.name) and backend not in wanted:
            wanted.append(backend)
    return wanted


def _plan(backend: Backend) -> str:
    found = backend.find()
    if found is not None:
        return f"ready: {found}"
    if isinstance(backend, GoBackend):
        verb = "to be built with Go"
        obstacle = None if catalogue.find_go() else "no Go here"
    else:
        verb = f"to be installed by apt-get ({backend.package})"
        obstacle = _apt_obstacle()
    return f"cannot be had: {obstacle}" if obstacle else f"{verb}, {backend.minutes} the first time"


def _provision(backend: Backend) -> None:
    if isinstance(backend, GoBackend):
        _build(backend)
    else:
        _apt_install(backend)
    found = backend.find()
    if found is None:
        raise Unavailable("still not found after it was provisioned")
    _say(f"{backend.title}: ready: {found}")


def _build(backend: GoBackend) -> None:
    go = catalogue.find_go()
    if go is None:
        raise Unavailable("no Go here")
    cache = catalogue.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{backend.name}.lock"):
        if backend.find() is not None:
            return
        for leftover in cache.glob(f".building-{backend.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".building-{backend.name}-", dir=cache))
        try:
            _build_in(work, backend=backend, go=go, log=cache / f"{backend.name}.log")
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _build_in(work: Path, *, backend: GoBackend, go: Path, log: Path) -> None:
    module, result, scratch = work / "module", work / "result", work / "scratch"
    recipe = backend.recipe()
    shutil.copytree(backend.module_dir, module)
    result.mkdir()
    scratch.mkdir()
    log.write_bytes(b"")
    # A go.work of somebody's above the cache must not take part; scratch goes where we tidy up.
    environment = {
        **os.environ,
        **QUICK_BUILD,
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} {QUICK_FLAGS}".strip(),
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GOTMPDIR": str(scratch),
    }

    def run_go(*arguments: str, progress: Callable[[str], str]) -> str:
        argv = [str(go), *arguments]
        return _run(
            argv, title=backend.title, log=log, cwd=module, env=environment, progress=progress
        )

    if backend.has_generated_main:
        generate = ["--config", "manifest.yaml", "--skip-get-modules", "--skip-compilation"]
        making = "making the main package"
        _retried(lambda: run_go("tool", "builder", *generate, progress=lambda _text: making))
    packages = _retried(lambda: run_go("list", "-deps", backend.package, progress=_downloads))
    program = str(result / backend.name)
    run_go(
        *("build", "-v", "-ldflags", "-s -w", "-o", program, backend.package),
        progress=lambda text: f"{_compiled(text)} of {len(packages.split())} packages compiled",
    )
    (result / catalogue.RECIPE_FILE).write_text(recipe)
    if backend.install_dir.exists():
        os.rename(backend.install_dir, work / "replaced")
    os.rename(result, backend.install_dir)


def _retried(download: Callable[[], str]) -> str:
    for _attempt in range(DOWNLOAD_ATTEMPTS - 1):
        # A module proxy drops a connection now and then; what has come is kept.
        with suppress(Unavailable):
            return download()
    return download()


def _downloads(log_text: str) -> str:
    return f"{log_text.count('go: downloading')} modules downloaded"


def _compiled(log_text: str) -> int:
    return sum(1 for line in log_text.splitlines() if line and " " not in line)


def _apt_obstacle() -> str | None:
    if shutil.which("apt-get") is None:
        return "no apt-get here"
    return None if os.geteuid() == 0 else "not root, which apt-get needs"


def _apt_install(backend: DebianBackend) -> None:
    obstacle = _apt_obstacle()
    if obstacle:
        raise Unavailable(obstacle)
    cache = catalogue.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / f"{backend.name}.log"
    log.write_bytes(b"")
    apt = ["apt-get", "-y", "-o", f"DPkg::Lock::Timeout={APT_LOCK_TIMEOUT_S}"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def run_apt(*arguments: str) -> None:
        _run(
            [*apt, *arguments],
            title=backend.title,
            log=log,
            cwd=Path("/"),
            env=environment,
            progress=lambda _text: f"apt-get {arguments[0]}",
        )

    # One broken source of many is no reason not to try.
    with suppress(Unavailable):
        run_apt("update")
    if backend is catalogue.POSTGRES:
        run_apt("install", "--no-install-recommends", "postgresql-common")
        with _no_system_cluster():
            run_apt("install", "--no-install-recommends", backend.package)
    else:
        run_apt("install", "--no-install-recommends", backend.package)


@contextmanager
def _no_system_cluster() -> Iterator[None]:
    # Debian's package makes and starts a database server at once unless it is told not to.
    POSTGRES_NO_SERVICE.parent.mkdir(parents=True, exist_ok=True)
    POSTGRES_NO_SERVICE.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        POSTGRES_NO_SERVICE.unlink(missing_ok=True)


def _run(
    argv: Sequence[str],
    *,
    title: str,
    log: Path,
    cwd: Path,
    env: Mapping[str, str],
    progress: Callable[[str], str],
) -> str:
    """Run a command, its errors in the log, a line of progress every ten seconds; its output."""
    began_at = time.monotonic()
    with log.open("ab") as errors, tempfile.TemporaryFile() as output:
        errors.write(f"$ {' '.join(argv)}\n".encode())
        errors.flush()
        start = errors.tell()
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=cwd, env=env
        ) as process:
            try:
                while process.poll() is None:
                    elapsed_s = time.monotonic() - began_at
                    text = log.read_bytes()[start:].decode(errors="replace")
                    _say(f"{title}: {progress(text)}, {elapsed_s:.0f} s")
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=PROGRESS_INTERVAL_S)
            except BaseException:
                process.terminate()
                raise
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        tail = (log.read_text(errors="replace") + text).splitlines()[-15:]
        _say("\n".join(f"{title} | {line}" for line in tail))
        command = Path(argv[0]).name
        raise Unavailable(f"{command} ended with exit code {process.returncode}, see {log}")
    return text


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Another process is building here; waiting for it ({path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
