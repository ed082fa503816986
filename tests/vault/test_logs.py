import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.errors import StorageError, UsageError
from offline_agent.protocols import Database
from offline_agent.vault.logs import Logs, VaultHandler, parse_since
from offline_agent.vault.plain import PlainVault


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = PlainVault(tmp_path).database("logs")
    yield opened
    opened.close()


@pytest.fixture
def logs(database: Database) -> Logs:
    return Logs(database)


@pytest.fixture
def attach(request: pytest.FixtureRequest) -> Callable[[VaultHandler], logging.Logger]:
    """A logger of this test's own that writes to the handler given, and nowhere else."""

    def attached(handler: VaultHandler) -> logging.Logger:
        logger = logging.getLogger(f"test.{request.node.name}")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(handler)
        request.addfinalizer(lambda: (logger.removeHandler(handler), handler.close()))
        return logger

    return attached


Attach = Callable[[VaultHandler], logging.Logger]


@pytest.fixture
def logger(tmp_path: Path, attach: Attach) -> logging.Logger:
    return attach(VaultHandler(lambda: PlainVault(tmp_path).database("logs"), "front"))


class Failing:
    """Opens a database of the vault, except while `reason` says why not."""

    def __init__(self, directory: Path, reason: str = "") -> None:
        self.reason = reason
        self.calls = 0
        self._vault = PlainVault(directory)

    def __call__(self) -> Database:
        self.calls += 1
        if self.reason:
            raise StorageError(self.reason)
        return self._vault.database("logs")


def texts(logs: Logs) -> list[str]:
    return [entry.message for entry in logs.read()]


def test_a_record_is_one_entry(logger: logging.Logger, logs: Logs) -> None:
    logger.warning("%d of %s", 3, "four")
    [entry] = logs.read()
    assert (entry.number, entry.level, entry.level_name) == (1, logging.WARNING, "warning")
    assert (entry.logger, entry.message) == (logger.name, "3 of four")
    assert entry.process.startswith("front ")


def test_nothing_is_opened_before_there_is_something_to_write(tmp_path: Path, attach: Attach) -> None:
    opening = Failing(tmp_path)
    logger = attach(VaultHandler(opening, "front"))
    assert opening.calls == 0
    logger.info("x")
    logger.info("y")
    assert opening.calls == 1


def test_a_traceback_is_in_the_message(logger: logging.Logger, logs: Logs) -> None:
    try:
        raise OSError("no such thing")
    except OSError:
        logger.exception("It failed")
    [entry] = logs.read()
    assert entry.message.startswith("It failed\nTraceback")
    assert entry.message.endswith("OSError: no such thing")


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_wrong_log_call_does_no_harm(tmp_path: Path, logs: Logs, capfd: pytest.CaptureFixture[str]) -> None:
    handler = VaultHandler(Failing(tmp_path), "front")
    calls: list[tuple[object, object]] = [("%d files", "many"), ("%s", Unspeakable()), (Unspeakable(), ())]
    for message, argument in calls:
        # Straight to the handler: the test runner listens at every logger, and raises where ours must not.
        handler.handle(logging.LogRecord("l", logging.INFO, "f.py", 1, message, (argument,), None))
    handler.close()
    assert texts(logs) == [
        "%d files (cannot be written out: TypeError)",
        "%s (cannot be written out: RuntimeError)",
        "Unspeakable (cannot be written out: RuntimeError)",
    ]
    assert capfd.readouterr() == ("", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_logged(logger: logging.Logger, logs: Logs, text: str) -> None:
    before = len(logs.read())
    logger.info("%s", text)
    assert len(logs.read()) == before + 1
    if text.isascii():
        assert texts(logs)[-1] == text


def test_what_is_lost_is_counted_and_said_once(
    tmp_path: Path, attach: Attach, logs: Logs, capfd: pytest.CaptureFixture[str]
) -> None:
    opening = Failing(tmp_path, reason="the disk is full")
    logger = attach(VaultHandler(opening, "front", pause=0.0))
    logger.info("one")
    logger.info("two")
    opening.reason = ""
    logger.info("three")
    logger.info("four")
    assert texts(logs) == ["three", "2 records lost: the disk is full", "four"]
    assert logs.read(level=logging.WARNING)[0].logger == "offline_agent.vault.logs"
    assert capfd.readouterr() == ("", "")


def test_a_broken_log_is_not_tried_for_every_record(tmp_path: Path, attach: Attach, logs: Logs) -> None:
    opening = Failing(tmp_path, reason="locked")
    handler = VaultHandler(opening, "front", pause=3600.0)
    logger = attach(handler)
    for _ in range(100):
        logger.info("x")
    assert opening.calls == 1
    opening.reason = ""
    handler.close()
    assert texts(logs) == ["100 records lost: locked"]


def test_a_database_that_fails_later(tmp_path: Path, attach: Attach, logs: Logs, database: Database) -> None:
    logger = attach(VaultHandler(Failing(tmp_path), "front", pause=0.0))
    logger.info("one")
    database.execute("CREATE TRIGGER stop BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'stopped'); END")
    logger.info("two")
    database.execute("DROP TRIGGER stop")
    logger.info("three")
    first, second, third = texts(logs)
    assert (first, second) == ("one", "three")
    assert third.startswith("1 record lost: ")
    assert "stopped" in third


def test_what_opening_the_log_logs_is_in_it_too(tmp_path: Path, attach: Attach, logs: Logs) -> None:
    def opening() -> Database:
        logger.debug("opening")
        return PlainVault(tmp_path).database("logs")

    logger = attach(VaultHandler(opening, "front"))
    logger.info("one")
    assert texts(logs) == ["one", "opening"]


def test_threads_share_the_handler(logger: logging.Logger, logs: Logs) -> None:
    def work(who: int) -> None:
        for n in range(25):
            logger.info("%d %d", who, n)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(logs)) == sorted(f"{who} {n}" for who in range(4) for n in range(25))


def write(database: Database, *entries: tuple[float, int]) -> None:
    for at, level in entries:
        sql = "INSERT INTO entries (at, level, logger, process, message) VALUES (?, ?, 'l', 'p 1', 'm')"
        database.execute(sql, (at, level))


def numbers(logs: Logs) -> list[int]:
    return [entry.number for entry in logs.read()]


def test_reading_some(logs: Logs, database: Database) -> None:
    write(database, (1.0, 20), (2.0, 30), (3.0, 20), (4.0, 40))
    assert [entry.number for entry in logs.read(since=2.0)] == [2, 3, 4]
    assert [entry.number for entry in logs.read(level=30)] == [2, 4]
    assert [entry.number for entry in logs.read(after=2)] == [3, 4]
    assert [entry.number for entry in logs.read(limit=3, level=20)] == [2, 3, 4]


def test_following_gives_what_is_new(logs: Logs, logger: logging.Logger) -> None:
    logger.info("one")
    logger.debug("hidden")
    following = logs.follow(level=logging.INFO, pause=0.01)
    assert next(following).message == "one"
    later = threading.Timer(0.05, logger.info, ["two"])
    later.start()
    assert next(following).message == "two"
    later.join()


@pytest.mark.parametrize(
    ("older_than", "keep", "left"),
    [(None, None, [1, 2, 3, 4]), (3.0, None, [3, 4]), (None, 1, [4]), (2.0, 3, [2, 3, 4]), (9.0, 4, []), (None, 0, [])],
)
def test_pruning(logs: Logs, database: Database, older_than: float | None, keep: int | None, left: list[int]) -> None:
    write(database, (1.0, 20), (2.0, 20), (3.0, 20), (4.0, 20))
    assert logs.prune(older_than, keep) == 4 - len(left)
    assert numbers(logs) == left
    write(database, (5.0, 20))
    assert numbers(logs)[-1] == 5  # who follows by number misses nothing


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", 999_910.0),
        ("10m", 999_400.0),
        (" 2h ", 992_800.0),
        ("3d", 740_800.0),
        ("1w", 395_200.0),
        ("999999d", 0.0),
        ("2026-11-22", datetime(2026, 11, 22).timestamp()),
        ("2026-11-22T10:00", datetime(2026, 11, 22, 10).timestamp()),
        ("2026-11-22T10:00Z", 1_795_341_600.0),
        ("2026-11-22T10:00+02:00", 1_795_334_400.0),
    ],
)
def test_since(text: str, moment: float) -> None:
    assert parse_since(text, 1_000_000.0) == moment


@pytest.mark.parametrize("text", ["", "10", "m", "-3d", "1.5h", "yesterday", "2026-13-01", "٣d", "9" * 400 + "d"])
def test_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_since(text, 1_000_000.0)


@given(
    st.text() | st.from_regex(r"\d{1,6}-\d\d-\d\d", fullmatch=True) | st.from_regex(r"[0-9]+[smhdw]", fullmatch=True)
)
def test_any_text_is_a_time_or_not(text: str) -> None:
    with suppress(UsageError):
        assert parse_since(text, 1_000_000.0) >= 0.0
