"""The worker as a process: it does what is due and ends, and ends with the service that started it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.app.conftest import ROOT, Eql, with_store


def test_a_worker_does_what_is_due_and_ends(run_eql: Eql, tmp_path: Path) -> None:
    done = run_eql(with_store(tmp_path), "worker", "--once")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_companion_ends_with_its_service(tmp_path: Path) -> None:
    environment = {**os.environ, "EQL_HOME": str(with_store(tmp_path))}
    command = [str(Path(sys.executable).parent / "eql"), "worker", "--companion"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0
