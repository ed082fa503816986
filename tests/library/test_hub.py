"""What a hub says of a repository, and what becomes of a hub that says nonsense."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.errors import AgentError, HubRefused, PullError
from tests.library.hub_server import Fault
from tests.library.pulling import FILE, REFERENCE, REPOSITORY, Ground, ground

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sha", "siblings", "lfs"]), inner),
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as made:
        yield made


def answer(**changes: Any) -> dict[str, Any]:
    """What a hub says, with something else in it."""
    sibling = {"rfilename": FILE, "size": 5, "blobId": "0" * 40}
    return {"id": REPOSITORY, "sha": "a" * 40, "siblings": [sibling], "tags": []} | changes


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(answer(sha="main")).encode(),
        json.dumps(answer(sha=None)).encode(),
        json.dumps(answer(siblings=[{"size": 5}])).encode(),
        json.dumps(answer(siblings="none")).encode(),
        json.dumps(answer(siblings=[{"rfilename": FILE, "size": -5}])).encode(),
        json.dumps(
            answer(siblings=[{"rfilename": FILE, "lfs": {"size": 5, "sha256": "x", "pointerSize": 1}}])
        ).encode(),
        json.dumps(answer(siblings=[{"rfilename": FILE, "lfs": {"size": 5}}])).encode(),
    ],
)
def test_an_answer_that_makes_no_sense(here: Ground, body: bytes) -> None:
    here.hub.faults.append(Fault("api", body=body, times=-1))
    with pytest.raises(PullError, match="cannot be understood"):
        here.puller().plan(REFERENCE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(JSON, JSON, JSON)
def test_any_json_is_a_plan_or_an_error(here: Ground, sha: Any, siblings: Any, tags: Any) -> None:
    here.hub.faults[:] = [Fault("api", body=json.dumps(answer(sha=sha, siblings=siblings, tags=tags)).encode())]
    with pytest.raises(AgentError):
        here.puller().plan(REFERENCE)


def test_files_with_names_that_lead_elsewhere_are_not_seen(here: Ground) -> None:
    names = ["../../etc/passwd.gguf", "/etc/m.gguf", "a//b.gguf", "\x1b[2J.gguf"]
    siblings = [{"rfilename": name, "size": 5, "blobId": "0" * 40} for name in names]
    here.hub.faults.append(Fault("api", body=json.dumps(answer(siblings=siblings)).encode()))
    with pytest.raises(AgentError, match=r"0 \.gguf files"):
        here.puller().plan(f"hub:{REPOSITORY}")


def test_a_size_that_no_file_has_is_not_believed(here: Ground) -> None:
    here.hub.announced[FILE] = {"size": 10**400}
    with pytest.raises(PullError, match="cannot be understood"):
        here.puller().plan(REFERENCE)


def test_an_answer_without_end_is_not_read_to_it(here: Ground) -> None:
    here.hub.faults.append(Fault("api", body=b" " * (33 << 20)))
    with pytest.raises(PullError, match="far too much"):
        here.puller().plan(REFERENCE)


@pytest.mark.parametrize("name", ["o--o/n", "o..o/n", "-o/n", "o/n.git"])
def test_a_name_that_no_hub_has_is_not_asked_for(here: Ground, name: str) -> None:
    with pytest.raises(HubRefused, match="no name"):
        here.puller().plan(f"hub:{name}/m.gguf")
    assert here.hub.seen == []


def test_what_the_client_would_take_from_the_machine_is_not_sent(
    here: Ground, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text("hf_of_the_disk")
    here.puller().plan(REFERENCE)
    assert here.hub.seen
    assert all("authorization" not in seen.headers for seen in here.hub.seen)


def test_the_client_is_left_without_a_way_out(here: Ground) -> None:
    from huggingface_hub import HfApi

    here.puller().plan(REFERENCE)
    before = len(here.hub.seen)
    with pytest.raises(httpx2.ConnectError):
        HfApi(endpoint=here.hub.url, token=False).model_info(REPOSITORY)
    assert len(here.hub.seen) == before


def test_nothing_is_written_outside_of_the_library(here: Ground, home: Path) -> None:
    here.pull()
    assert [path for path, _, files in os.walk(home) if files] == []
