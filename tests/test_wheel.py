"""Hazard: what works in the checkout is not in the wheel."""

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PACKAGES = ("gateway", "plugins", "upstream_services")


def run(*command: str | Path, folder: Path, code: int = 0) -> str:
    """A command away from the checkout, with nothing of this process's environment but what it needs."""
    environment = {"PATH": os.environ["PATH"], "JWT_SECRET": "long-enough-for-a-test-of-the-wheel"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git knows, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (TOP / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((TOP / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source", folder=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel, and with this one's packages but for the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    # Unlike a folder of site's own, one that is named in a .pth file does not have its .pth files read.
    Path(packages, "others.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


def test_everything_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        for path in (TOP / package).rglob("*"):
            if path.suffix in (".py", ".lua", ".sql", ".html", ".typed"):
                assert path.relative_to(TOP).as_posix() in names
    assert "gateway/py.typed" in names
    assert any(name.endswith(".data/data/share/suite-gateway/routes.yaml") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {*PACKAGES, "suite_gateway"}


def test_the_installed_commands_run_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed / "python",
        "-c",
        "import gateway, plugins; print(gateway.__file__, plugins.__file__)",
        folder=tmp_path,
    )
    assert all(name.startswith(str(installed.parent)) for name in where.split())
    table = run(installed / "python", "-c", "from gateway.demo import table_path; print(table_path())", folder=tmp_path)
    assert table.startswith(str(installed.parent))
    assert ": good; " in run(installed / "gateway", "check", table.strip(), folder=tmp_path)
    assert run(installed / "gateway", "check", folder=tmp_path, code=1) == ""


def test_the_installed_store_has_its_script(installed: Path, tmp_path: Path) -> None:
    code = "import gateway.stores.redis as redis; print(redis.open_store('redis://127.0.0.1:1/0'))"
    assert run(installed / "python", "-c", code, folder=tmp_path)


def test_the_installed_services_start(installed: Path, tmp_path: Path) -> None:
    assert "--database" in run(installed / "python", "-m", "upstream_services.crm", "--help", folder=tmp_path)
