"""Settings: what wins, what is refused, and in which words."""

from pathlib import Path

import pytest

from hub.settings import Settings, SettingsRefused, documented, known_variables


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_variables():
        monkeypatch.delenv(name, raising=False)


def test_command_line_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of command line, environment, file and default that says something wins; nested ones too."""
    file = tmp_path / "camhub.toml"
    file.write_text('port = 1001\nname = "Từ tệp"\nlocale = "en"\n[networks]\nallow = ["10.0.0.0/8"]\n')
    monkeypatch.setenv("CAMHUB_PORT", "1002")
    monkeypatch.setenv("CAMHUB_NAME", "Từ môi trường")
    monkeypatch.setenv("CAMHUB_RELAY__UDP_PORT", "9000")

    settings = Settings.load(file, port=1003, host=None)

    assert (settings.port, settings.name, settings.locale) == (1003, "Từ môi trường", "en")
    assert settings.networks.allow == ["10.0.0.0/8"]
    assert settings.relay.udp_port == 9000
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", ["colour is not a setting"]),
        ("[relay]\nport = 1", ["relay.port is not a setting"]),
        ('port = "many"\nlocale = "fr"', ["port:", "locale:"]),
        ('[networks]\nallow = ["everything"]', ["networks.allow", "everything", "192.168.1.0/24"]),
        ('tls_cert = "a.pem"', ["tls_key is missing"]),
        ("port = ", ["is not TOML"]),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """A name that is no setting and a value that does not fit are refused by their names."""
    file = tmp_path / "camhub.toml"
    file.write_text(text)

    with pytest.raises(SettingsRefused) as refused:
        Settings.load(file)

    for word in words:
        assert word in str(refused.value)


def test_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CAMHUB_ variable that is no setting is refused, and the known ones are listed."""
    monkeypatch.setenv("CAMHUB_PROT", "8080")

    with pytest.raises(SettingsRefused, match=r"CAMHUB_PROT\. Known: .*CAMHUB_PORT"):
        Settings.load()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "hub.example"])
def test_open_address_needs_tls(host: str) -> None:
    """Beyond this machine the hub listens only with TLS or behind a proxy, and says so."""
    with pytest.raises(SettingsRefused, match="--tls-cert and --tls-key, or --behind-proxy"):
        Settings.load(host=host).check_exposure()

    Settings.load(host=host, behind_proxy=True).check_exposure()
    Settings.load(host="127.0.0.1").check_exposure()
    Settings.load(host="::1").check_exposure()


def test_passwords_in_addresses_are_not_shown() -> None:
    """Printing the settings shows no password of the database or of Redis."""
    settings = Settings.load(
        database_url="postgresql+asyncpg://hub:hidden-one@db/hub", redis_url="redis://:hidden-two@cache"
    )

    assert "hidden" not in repr(settings)
    assert settings.database().endswith("hidden-one@db/hub")


def test_every_setting_is_documented() -> None:
    """The reference page holds exactly the rows of the model, each with a meaning."""
    page = (Path(__file__).parents[3] / "docs" / "ref" / "settings.md").read_text("utf-8")

    assert [line for line in page.splitlines() if line.startswith("| `CAMHUB_")] == documented()
    assert all(not row.endswith("|  |") for row in documented())
