"""The address of the running service is in its home; what a killed service left behind does not count."""

from pathlib import Path

import pytest

from app import address

URL = "http://127.0.0.1:8123"


def test_the_address_is_known_while_the_service_runs(tmp_path: Path) -> None:
    assert address.of_running_service(tmp_path) is None
    with address.announced(tmp_path, URL):
        assert address.of_running_service(tmp_path) == URL
        [file] = tmp_path.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        left = file.read_text()
    assert list(tmp_path.iterdir()) == []
    file.write_text(left)
    assert address.of_running_service(tmp_path) is None
    with address.announced(tmp_path, "http://h:1"):
        assert address.of_running_service(tmp_path) == "http://h:1"


def test_of_two_services_the_first_is_known(tmp_path: Path) -> None:
    with address.announced(tmp_path, URL), address.announced(tmp_path, "http://127.0.0.1:9"):
        assert address.of_running_service(tmp_path) == URL


def test_a_home_that_holds_no_file_stops_no_service(tmp_path: Path) -> None:
    with address.announced(tmp_path / "missing", URL):
        assert address.of_running_service(tmp_path / "missing") is None
    with pytest.raises(OSError, match="of the block"), address.announced(tmp_path, URL):
        raise OSError("of the block")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("eql.example", "http://eql.example:80"),
    ],
)
def test_an_address_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    assert address.site(host, 80) == url
