"""From a plan to processes: what they are called, given, and told apart by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.backends.local.layout import LocalAddresses, link_endpoints, located, process_spec, tail, without_env
from harness.model.backend import StackPlan
from harness.model.stack import StackDescription


@pytest.mark.parametrize(
    ("argv", "settings", "command"),
    [
        (["python", "-m", "x"], {}, ["python", "-m", "x"]),
        (["env", "A=1", "B=x=y", "python", "-m", "x"], {"A": "1", "B": "x=y"}, ["python", "-m", "x"]),
        (["env", "-i", "x"], {}, ["env", "-i", "x"]),
        (["env", "A=1", "-u", "x"], {}, ["env", "A=1", "-u", "x"]),
        (["env", "A=1"], {}, ["env", "A=1"]),
        (["env"], {}, ["env"]),
        ([], {}, []),
    ],
)
def test_settings_before_a_command(argv: list[str], settings: dict[str, str], command: list[str]) -> None:
    assert without_env(argv) == (settings, command)


def test_programs_beside_the_file_are_found_from_anywhere() -> None:
    assert located(("./bin/serve", "x"), Path("/stack")) == ["/stack/bin/serve", "x"]
    assert located(("/bin/serve",), Path("/stack")) == ["/bin/serve"]
    assert located(("serve", "a/b"), Path("/stack")) == ["serve", "a/b"]


def test_arguments_that_name_files_beside_the_compose_file_are_found_from_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "stack"
    (home / "app").mkdir(parents=True)
    (home / "app" / "store.py").touch()
    (home / "plain").touch()
    (tmp_path / "above").touch()

    def found(word: str) -> str:
        return located(("python", word), home)[1]

    assert found("app/store.py") == found("./app/store.py") == str(home / "app" / "store.py")
    assert found("app/") == str(home / "app")
    others = ("plain", "app/later.db", "../above", "/etc/hosts", "http://app:80/", "--config=app/store.py", "a/" * 5000)
    for word in others:
        assert found(word) == word


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(1000)) + b"\xff broken")
    assert tail(path, 2) == ["line 999", "� broken"]
    assert tail(path, 5, most_bytes=12) == ["999", "� broken"]
    assert tail(path, 0) == []
    assert tail(tmp_path / "missing", 5) == []


def test_the_process_of_a_service(
    plan: Callable[..., StackPlan], description: StackDescription, tmp_path: Path
) -> None:
    planned = plan(links=description.links, relay={"UPSTREAM": "http://echo:17101/other"})
    addresses = LocalAddresses("127.9.9", description, planned.links)
    relay = process_spec(description.services["relay"], planned, addresses, tmp_path / "s", None)
    assert relay.module == "teststack_relay"
    assert relay.env["BIND"] == "127.9.9.11:17102"
    assert relay.env["UPSTREAM"] == "http://127.9.9.110:17101/other", "a plan's settings are rewritten as well"
    echo = process_spec(description.services["echo"], planned, addresses, tmp_path / "s", None)
    assert echo.env["SELF"] == "http://127.9.9.10:17101"
    assert echo.env["HOME_DIR"] == echo.directory == str(tmp_path / "s" / "services" / "echo")
    sleeper = process_spec(description.services["sleeper"], planned, addresses, tmp_path / "s", None)
    assert (sleeper.module, sleeper.argv, sleeper.restart) == (None, ["sleep", "1000"], "no")


def test_endpoints_of_links(description: StackDescription) -> None:
    endpoint = link_endpoints(LocalAddresses("127.9.9", description, description.links))["relay -> echo"]
    assert endpoint.proxy_api_url == "http://127.9.9.2:8474"
    assert endpoint.proxies == {17101: "0-relay-echo-17101", 17109: "0-relay-echo-17109"}
