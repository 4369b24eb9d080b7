"""The scripts that set up and run the project, in the checkout at hand; none of them may start the tests again."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
SHELL_SCRIPTS = sorted(
    path
    for path in [*(CHECKOUT / "script").iterdir(), CHECKOUT / ".ci" / "run"]
    if path.read_bytes().startswith(b"#!/usr/bin/env bash\n")
)


def run(*command: str | Path, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy_of_checkout(tmp_path: Path) -> Path:
    """The scripts and what they read, set up already."""
    place = tmp_path / "a checkout"
    place.mkdir()
    shutil.copytree(CHECKOUT / "script", place / "script")
    shutil.copy(CHECKOUT / "pyproject.toml", place)
    shutil.copy(CHECKOUT / "config.example.yaml", place)
    (place / ".venv").symlink_to(CHECKOUT / ".venv")
    (place / "script" / "setup").write_text("#!/bin/sh\n")
    return place


def test_what_a_person_runs_is_there() -> None:
    assert {path.name for path in SHELL_SCRIPTS} >= {"lint", "peers", "run", "setup", "test"}


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_each_script_is_executable_and_has_no_syntax_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", script).stderr == ""


def test_a_second_setup_says_nothing_and_takes_under_a_second() -> None:
    run("script/setup", "--dev")
    start = time.monotonic()
    second = run("script/setup", "--dev")
    took = time.monotonic() - start
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert took < 1


def test_a_development_setup_serves_for_running_too() -> None:
    run("script/setup", "--dev")
    plain = run("script/setup")
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "", "")


def test_setup_without_a_python_that_is_new_enough_says_so_in_one_line(tmp_path: Path, copy_of_checkout: Path) -> None:
    (copy_of_checkout / ".venv").unlink()
    shutil.copy(CHECKOUT / "script" / "setup", copy_of_checkout / "script")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ["bash", "cat", "dirname", "sha256sum", "cut", "mktemp", "rm", "grep"]:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = run(tools / "bash", "script/setup", cwd=copy_of_checkout, PATH=str(tools))
    assert (answer.returncode, answer.stdout, len(answer.stderr.splitlines())) == (1, "", 1)
    assert "Python 3.11" in answer.stderr


def test_run_hands_its_arguments_to_sip_bridge_from_any_folder(tmp_path: Path) -> None:
    answer = run(CHECKOUT / "script" / "run", "--version", cwd=tmp_path)
    assert (answer.returncode, answer.stdout.split()[0], answer.stderr) == (0, "sip-bridge,", "")


def test_run_with_a_wrong_configuration_ends_with_code_2_and_names_file_and_line(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("bridge:\n  id: home\nno_such_key: 1\n")
    answer = run(CHECKOUT / "script" / "run", "run", "-c", config)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"{config}:3" in answer.stderr
    assert "no_such_key" in answer.stderr


def test_run_checks_a_configuration_that_is_named_relative_to_the_callers_folder(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "config.example.yaml", tmp_path / "mine.yaml")
    answer = run(CHECKOUT / "script" / "run", "check", "-c", "mine.yaml", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (0, "mine.yaml is right: bridge home, accounts door\n")


def test_run_makes_a_configuration_from_the_example_and_uses_it(tmp_path: Path, copy_of_checkout: Path) -> None:
    (copy_of_checkout / "config.example.yaml").write_text("from_the_example: 1\n")
    answer = run(copy_of_checkout / "script" / "run", cwd=tmp_path)
    assert (copy_of_checkout / "config.yaml").read_text() == "from_the_example: 1\n"
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"{copy_of_checkout / 'config.yaml'}:1" in answer.stderr


def test_run_leaves_a_configuration_that_is_there_as_it_is(tmp_path: Path, copy_of_checkout: Path) -> None:
    (copy_of_checkout / "config.yaml").write_text("of_the_user: 1\n")
    answer = run(copy_of_checkout / "script" / "run", cwd=tmp_path)
    assert (copy_of_checkout / "config.yaml").read_text() == "of_the_user: 1\n"
    assert answer.returncode == 2
    assert "of_the_user" in answer.stderr


def test_the_constraints_name_exact_versions_and_nothing_else() -> None:
    lines = (CHECKOUT / "script" / "constraints.txt").read_text().splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    assert pins
    assert [pin for pin in pins if not (pin[1] and pin[2])] == []
