"""What the container image and the compose file promise; neither can be built here, but both can be read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from app.cli import app
from app.commands.service import SHUTDOWN_SECONDS
from app.settings import Settings

ROOT = Path(__file__).parent.parent
OURS = ("service", "worker", "eql", "mlflow")
PASSWORDS = {"POSTGRES_PASSWORD", "STORE_PASSWORD", "MLFLOW_PASSWORD"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))


def steps(keyword: str) -> list[str]:
    """What follows a keyword in the Containerfile, each with its continued lines."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text("utf-8"))
    return re.findall(rf"(?m)^{keyword} (.*)$", text)


def seconds(span: str) -> int:
    return int(span.removesuffix("s"))


def memory(size: str) -> int:
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1]]


def test_only_what_is_named_gets_into_the_image() -> None:
    everything, *allowed = [
        line
        for line in (ROOT / ".containerignore").read_text("utf-8").splitlines()
        if not line.startswith(("#", "**/__pycache__"))
    ]
    copied = [word for step in steps("COPY") if not step.startswith("--from") for word in step.split()[:-1]]
    assert everything == "*"
    assert {f"!{name}" for name in copied} == {*allowed}
    assert all((ROOT / name).exists() for name in copied)
    assert (ROOT / ".dockerignore").read_text("utf-8") == (ROOT / ".containerignore").read_text("utf-8")


def test_the_image_is_of_the_hashed_locks_and_ends_as_nobody_special() -> None:
    installs = [part for step in steps("RUN") for part in step.split("&&") if re.search("pip install", part)]
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)
    assert int(steps("USER")[-1].partition(":")[0]) > 0
    command = json.loads(steps("CMD")[-1])
    assert command[0] == "eql"
    typer.main.get_command(app).make_context("eql", command[1:])


def test_no_password_is_there_by_default(compose: Any) -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert {*re.findall(r"\$\{([A-Z_]+):\?", text)} == PASSWORDS
    example = (ROOT / "compose.env.example").read_text("utf-8")
    assert {*re.findall(r"(?m)^([A-Z_]+)=$", example)} == PASSWORDS
    assert "compose.env\n" in (ROOT / ".gitignore").read_text("utf-8")


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_runs_without_privileges(compose: Any, name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    places = [place.split(":")[0] for place in service["tmpfs"]] + [v.split(":")[1] for v in service.get("volumes", ())]
    assert {"/tmp", "/data"} <= {*places}
    assert "POSTGRES_PASSWORD" not in service["environment"]


def test_only_the_service_can_be_reached_and_from_this_machine_alone(compose: Any) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"service": ["${LISTEN:-127.0.0.1:8000}:8000"]}
    assert compose["networks"]["inside"]["internal"]
    assert {name for name, service in compose["services"].items() if "outside" in service["networks"]} == {
        "service",
        "worker",
    }


def test_everything_has_its_health_its_limits_and_time_to_end(compose: Any) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert memory(service["deploy"]["resources"]["limits"]["memory"]) >= 512, name
        waited_for = {other for other, state in service.get("depends_on", {}).items() if state != "service_started"}
        assert all(state["condition"] == "service_healthy" for state in service.get("depends_on", {}).values())
        assert not any(services[other].get("healthcheck", {}).get("disable") for other in waited_for)
    assert seconds(services["service"]["stop_grace_period"]) > SHUTDOWN_SECONDS
    declared = {
        source for s in services.values() for v in s.get("volumes", ()) if (source := v.split(":")[0])[0] != "."
    }
    assert declared == {*compose["volumes"]}


def test_commands_and_settings_of_the_compose_file_exist(compose: Any) -> None:
    root: Any = typer.main.get_command(app)
    for name in ("service", "worker"):
        program, command, *options = compose["services"][name]["command"]
        assert program == "eql"
        root.commands[command].make_context(command, options)
    known = {f"EQL_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in compose["services"]["service"]["environment"] if name.startswith("EQL_")} <= known
