from pathlib import Path

import pytest

from offline_agent.errors import UsageError
from offline_agent.settings import load_settings


def write_config(home: Path, text: str) -> None:
    path = home / ".config" / "offline-agent" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_defaults_need_nothing(home: Path) -> None:
    settings = load_settings({"HOME": str(home)})
    assert settings.data_directory == home / ".local" / "share" / "offline-agent"
    assert (settings.models_directory / "catalogue.toml").is_file()
    assert (settings.index_declarations / "ignore").is_file()


def test_environment_beats_file(home: Path) -> None:
    write_config(home, "[index]\nmax_file_bytes = 10\nquiet_seconds = 0.3\n")
    settings = load_settings({"HOME": str(home), "OFFLINE_AGENT_INDEX_MAX_FILE_BYTES": "20"})
    assert (settings.index.max_file_bytes, settings.index.quiet_seconds) == (20, 0.3)


def test_xdg_directories_are_followed(home: Path) -> None:
    settings = load_settings({"HOME": str(home), "XDG_DATA_HOME": "/elsewhere"})
    assert settings.data_directory == Path("/elsewhere/offline-agent")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[index]\nmax_file_bytes = 'many'", "index.max_file_bytes"),
        ("[index]\nmax_files = 1", "index.max_files"),
        ("[indx]\nx = 1", "[indx]"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_named(home: Path, text: str, said: str) -> None:
    write_config(home, text)
    with pytest.raises(UsageError) as caught:
        load_settings({"HOME": str(home)})
    assert said in str(caught.value)
    assert "config.toml" in str(caught.value)


def test_a_wrong_variable_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.context"):
        load_settings({"HOME": str(home), "OFFLINE_AGENT_MODEL_CONTEXT": "wide"})
