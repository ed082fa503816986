"""Remote models: against a real llama_cpp.server, and against a server on loopback that says whatever a test wants."""

import contextlib
import gc
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import EndpointError, ModelError, PromptTooLong
from offline_agent.events import Called, Finished, Misfired, Piece, Reading, Said, Thought
from offline_agent.llm.door import LONGEST_LINE
from offline_agent.llm.endpoints import discover
from offline_agent.llm.remote import RemoteModel
from offline_agent.settings import EndpointSettings
from offline_agent.types import Message, Sampling, ToolCall, ToolSpec
from tests.llm.endpoint import (
    PATIENCE,
    Endpoint,
    as_json,
    as_stream,
    call_delta,
    chunked,
    delta,
    endless,
    events,
    hangs,
    models,
    response,
)

POCKET = Path(__file__).parents[2] / "models" / "pocket.gguf"
QUESTION = (Message(role="user", content="[1] def greet(name):\n    return name\n\nWhere is greet defined?"),)
READ = ToolSpec(
    name="read",
    description="Reads a file.",
    parameters={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
KEY = "Bearer tok-4711-of-the-team"
CHAT = "/v1/chat/completions"
LIST = "/v1/models"
STREAM = response(b"", Content_Type="text/event-stream")


def model_of(endpoint: Endpoint, key: str | None = None, **fields: Any) -> RemoteModel:
    given = {"url": endpoint.url, "timeout_seconds": 5.0, **fields}
    return RemoteModel("", EndpointSettings(**given), lambda: key)


def answered(
    *chunks: object, tools: Sequence[ToolSpec] = (), choice: Any = "auto", raw: bytes | None = None
) -> tuple[list[Piece], Finished]:
    """The pieces that a stream of such chunks becomes, and the last of them apart."""
    with Endpoint({LIST: models("m"), CHAT: as_stream(*chunks) if raw is None else raw}) as endpoint:
        *pieces, last = model_of(endpoint).stream(QUESTION, Sampling(), tools, choice)
    assert isinstance(last, Finished)
    return pieces, last


def failure(reply: Any, first: Any = None, **fields: Any) -> ModelError:
    """The error that such an answer becomes; none may hold the key, or what steers a terminal."""
    with Endpoint({LIST: first or models("m"), CHAT: reply}) as endpoint:
        with pytest.raises(ModelError) as caught:
            list(model_of(endpoint, KEY, **fields).stream(QUESTION, Sampling(), [READ]))
        said = str(caught.value)
        assert endpoint.url in said
    assert "tok-4711" not in said
    assert said.isprintable()
    assert said.endswith(".")
    return caught.value


# --- a real server ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a llama_cpp.server with the built-in model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(POCKET), "--port", str(port), "--n_ctx", "2048"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not discover(1.0, (port,)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def remote(server: str) -> Iterator[RemoteModel]:
    model = RemoteModel("", EndpointSettings(url=server), lambda: None)
    yield model
    model.close()


ENDLESS = Sampling(max_tokens=1500, grammar="root ::= [a-z ]{1900}")


def test_a_real_server_is_loaded_and_counts(remote: RemoteModel) -> None:
    info = remote.load()
    assert info.name == str(POCKET)
    assert "llama_cpp.server" in info.description
    assert info.context == 8192
    assert info.counts_tokens
    short, long = remote.count_tokens(["greet", "def greet(name): return name"])
    assert 0 < short < long
    assert remote.measure(QUESTION) < remote.measure(QUESTION, [READ])


def test_a_real_server_streams(remote: RemoteModel) -> None:
    *pieces, last = remote.stream(QUESTION, Sampling(max_tokens=8))
    assert isinstance(last, Finished)
    assert last.message.content == "".join(piece.text for piece in pieces if isinstance(piece, Said))
    assert last.message.content


def test_a_real_server_is_stopped_from_another_thread(remote: RemoteModel) -> None:
    pieces = remote.stream(QUESTION, ENDLESS)
    next(pieces)
    threading.Timer(0.05, remote.cancel).start()
    *_, last = pieces
    assert isinstance(last, Finished)
    assert last.usage.stopped == "user"
    assert 0 < len(last.message.content) < 1400


def test_a_real_server_answers_again_after_an_answer_was_left(remote: RemoteModel) -> None:
    pieces = remote.stream(QUESTION, ENDLESS)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    *_, last = remote.stream(QUESTION, Sampling(max_tokens=8))
    assert isinstance(last, Finished)
    assert last.usage.stopped == "end"


def test_a_prompt_too_long_for_a_real_server_is_an_error(remote: RemoteModel) -> None:
    with pytest.raises(EndpointError, match="longer than its context"):
        list(remote.stream([Message(role="user", content="word " * 5000)], Sampling()))


# --- what a server is asked first ------------------------------------------------------------------------------------


def info_of(replies: dict[str, Any], **fields: Any) -> tuple[int, bool, str]:
    with Endpoint(replies) as endpoint:
        info = model_of(endpoint, **fields).load()
    return info.context, info.counts_tokens, info.description


def test_what_each_kind_tells() -> None:
    props = as_json({"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1})
    tokens = as_json({"tokens": [1, 2]})
    old = {LIST: models("m", owned_by="llamacpp", meta={"n_ctx_train": 131072}), "/props": props, "/tokenize": tokens}
    assert info_of(old) == (4096, True, "m, by llama-server")
    new = {LIST: models("m", owned_by="llamacpp", meta={"n_ctx": 2048, "n_ctx_train": 131072})}
    assert info_of(new) == (2048, False, "m, by llama-server")
    vllm = {LIST: models("m", owned_by="vllm", max_model_len=32768), "/tokenize": as_json({"count": 2})}
    assert info_of(vllm) == (32768, True, "m, by vLLM")
    studio = {
        LIST: models("text-embedding-x", "m", owned_by="organization_owner"),
        "/api/v0/models": as_json({"data": [{"id": "m", "max_context_length": 9, "loaded_context_length": 5000}]}),
    }
    assert info_of(studio) == (5000, False, "m, by LM Studio")


def test_ollama_tells_the_context_of_what_runs_or_of_the_file() -> None:
    asked = {LIST: models("a:latest", owned_by="library")}
    running = as_json({"models": [{"name": "b"}, {"name": "a:latest", "context_length": 16384}]})
    shown = as_json({"parameters": 'stop "x"\nnum_ctx                        6000\n', "model_info": {}})
    assert info_of({**asked, "/api/ps": running, "/api/show": shown})[0] == 16384
    assert info_of({**asked, "/api/show": shown})[0] == 6000
    assert info_of(asked)[0] == 4096
    assert info_of(asked, context=12000)[0] == 12000


def test_an_ollama_whose_models_are_somebodys_is_told_by_its_version() -> None:
    assert "Ollama" in info_of({LIST: models("a", owned_by="ann"), "/api/version": as_json({"version": "0.12"})})[2]


def test_settings_say_what_a_server_does_not() -> None:
    assert info_of({LIST: models("a", "b")}) == (8192, False, "a, by OpenAI-compatible server")
    assert info_of({LIST: models("a", "b")}, model="b", context=5000)[::2] == (5000, "b, by OpenAI-compatible server")
    assert info_of({}, model="named")[2].startswith("named, ")
    assert info_of({LIST: models("m", owned_by="llamacpp", meta={"n_ctx_train": 512})})[0] == 512


@pytest.mark.parametrize("answer", [{"data": []}, {"data": None}, {"data": [{}, 5, {"id": 3}]}, {"data": [{"id": ""}]}])
def test_a_server_without_a_model_says_what_to_do(answer: object) -> None:
    with Endpoint({LIST: as_json(answer)}) as endpoint, pytest.raises(EndpointError, match=r"\[endpoint\] model"):
        model_of(endpoint).load()


@pytest.mark.parametrize("body", [b"[]", b"5", b"{}", b'{"data": 5}', b"<html>", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_no_list_of_models_is_an_error(body: bytes) -> None:
    with Endpoint({LIST: response(body)}) as endpoint, pytest.raises(EndpointError, match=r"\[endpoint\] url"):
        model_of(endpoint).load()


def test_the_list_is_asked_for_once_and_the_tokenizer_once_for_each_text() -> None:
    replies = {LIST: models("m", owned_by="llamacpp"), "/tokenize": as_json({"tokens": [1, 2, 3]})}
    with Endpoint(replies) as endpoint:
        model = model_of(endpoint)
        model.load()
        assert model.count_tokens(["abc", "abc"]) == [3, 3]
        model.load()
        assert [seen.path for seen in endpoint.requests].count(LIST) == 1
        assert [body["content"] for body in endpoint.bodies("/tokenize")] == ["one two", "abc"]


def test_counts_are_estimated_where_nobody_counts() -> None:
    with Endpoint({LIST: models("m")}) as endpoint:
        model = model_of(endpoint)
        assert model.count_tokens(["", "abc", "abcd", "é" * 3, "\udcff"]) == [0, 1, 2, 2, 1]
        bare = model.measure(QUESTION)
        assert bare > len(QUESTION[0].content) / 3
        assert model.measure(QUESTION, [READ]) > bare + 10


def test_counts_are_estimated_once_the_server_is_gone() -> None:
    with Endpoint({LIST: models("m", owned_by="vllm"), "/tokenize": as_json({"count": 2})}) as endpoint:
        model = model_of(endpoint)
        model.load()
    assert model.count_tokens(["abcdef"]) == [2]


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET", "BASE_URL", "LOG"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://127.0.0.1:9/leak")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: leak\nAuthorization: leak")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Endpoint({LIST: models("m"), CHAT: as_stream(delta("stop", content="yes"))}) as endpoint:
        list(model_of(endpoint).stream(QUESTION, Sampling()))
        list(model_of(endpoint, KEY).stream(QUESTION, Sampling()))
        seen = endpoint.requests
    allowed = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
    assert all(set(request.headers) <= allowed | {"authorization"} for request in seen)
    assert "leak" not in str(seen)
    assert {request.headers.get("authorization") for request in seen} == {None, KEY}
    assert {request.headers["user-agent"] for request in seen} == {"offline-agent"}


def test_the_conversation_and_the_tools_as_they_are_sent() -> None:
    call = ToolCall(id="abcdef123", name="read", arguments={"path": "a\udcff.py"})
    conversation = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="lone \ud800"),
        Message(role="assistant", content="", calls=(call,), tokens=(1, 2)),
        Message(role="tool", content="text", call_id="abcdef123"),
    )
    write = ToolSpec(name="write", description="Writes.", parameters={"type": "object", "properties": {}}, body="text")
    with Endpoint({LIST: models("m"), CHAT: as_stream(delta("stop", content="yes"))}) as endpoint:
        list(model_of(endpoint).stream(conversation, Sampling(max_tokens=7, seed=3), [READ, write], "required"))
        [body] = endpoint.bodies()
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "lone ?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "abcdef123", "type": "function", "function": {"name": "read", "arguments": '{"path": "a?.py"}'}}
            ],
        },
        {"role": "tool", "content": "text", "tool_call_id": "abcdef123"},
    ]
    assert body["tools"][0]["function"] == {
        "name": "read",
        "description": "Reads a file.",
        "parameters": READ.parameters,
    }
    parameters = body["tools"][1]["function"]["parameters"]
    assert parameters["properties"] == {"text": {"type": "string"}}
    assert parameters["required"] == ["text"]
    assert (body["model"], body["tool_choice"], body["max_tokens"], body["seed"]) == ("m", "required", 7, 3)
    assert not {"top_k", "min_p", "repeat_penalty", "grammar", "return_progress"} & set(body)


def test_only_who_knows_more_fields_is_sent_more() -> None:
    def body_for(owner: str) -> Any:
        replies = {LIST: models("m", owned_by=owner), CHAT: as_stream(delta("stop", content="yes"))}
        with Endpoint(replies) as endpoint:
            list(model_of(endpoint).stream(QUESTION, Sampling(grammar='root ::= "a"', repeat_penalty=1.2)))
            return endpoint.bodies()[0]

    assert body_for("llamacpp")["grammar"] == 'root ::= "a"'
    assert body_for("llamacpp")["return_progress"] is True
    assert body_for("vllm")["repetition_penalty"] == 1.2
    assert "tools" not in body_for("me")
    assert "top_k" not in body_for("library")


# --- what comes ------------------------------------------------------------------------------------------------------


def test_an_answer_as_llama_server_streams_it() -> None:
    timings = {"cache_n": 40, "prompt_n": 4, "prompt_ms": 110.5, "predicted_n": 3, "predicted_ms": 30.0}
    pieces, last = answered(
        {"choices": [], "prompt_progress": {"total": 44, "cache": 40, "processed": 42, "time_ms": 5}},
        delta(role="assistant", content=None),
        delta(reasoning_content="Let me see."),
        delta(content="It is"),
        delta(content=" there."),
        delta(finish="stop"),
        {"choices": [], "usage": {"prompt_tokens": 44, "completion_tokens": 3, "total_tokens": 47}, "timings": timings},
    )
    assert pieces == [
        Reading(done=42, total=44),
        Thought(text="Let me see."),
        Said(text="It is"),
        Said(text=" there."),
    ]
    assert last.message == Message(role="assistant", content="It is there.")
    usage = last.usage
    assert (usage.stopped, usage.prompt_tokens, usage.reused_tokens, usage.answer_tokens) == ("end", 44, 40, 3)
    assert (usage.prompt_seconds, usage.answer_seconds) == (0.1105, 0.03)


def test_calls_as_llama_server_and_vllm_stream_them() -> None:
    pieces, last = answered(
        delta(role="assistant", content=None),
        delta(tool_calls=[call_delta(0, "read", "", known_as="chatcmpl-tool-1")]),
        delta(tool_calls=[call_delta(0, arguments='{"pa')]),
        delta(
            tool_calls=[call_delta(0, arguments='th": "a.py"}'), call_delta(1, "read", "", known_as="chatcmpl-tool-2")]
        ),
        delta(tool_calls=[call_delta(1, arguments='{"path": "b.py"}')]),
        delta(finish="tool_calls"),
        tools=[READ],
    )
    calls = [piece.call for piece in pieces if isinstance(piece, Called)]
    assert [call.arguments["path"] for call in calls] == ["a.py", "b.py"]
    assert last.message.calls == tuple(calls)
    assert all(len(call.id) == 9 and call.id.isalnum() for call in calls)
    assert calls[0].id != calls[1].id


def test_calls_as_ollama_streams_them() -> None:
    one = call_delta(0, "read", '{"path":"a.py"}', known_as="call_a")
    two = call_delta(0, "read", '{"path":"b.py"}', known_as="call_b")
    pieces, _ = answered(delta(tool_calls=[one]), delta(tool_calls=[two]), delta("tool_calls", content=""))
    assert [piece.call.arguments["path"] for piece in pieces if isinstance(piece, Called)] == ["a.py", "b.py"]


def test_calls_in_unusual_clothes() -> None:
    as_object = call_delta(0, "read", {"path": "a.py"})
    without_index = [call_delta(None, "read", '{"path":'), call_delta(None, arguments='"b.py"}')]
    bare = call_delta(7, "list")
    pieces, _ = answered(delta(tool_calls=[as_object, *without_index, bare]), delta("stop"))
    calls = [piece.call for piece in pieces if isinstance(piece, Called)]
    assert [call.arguments for call in calls] == [{"path": "a.py"}, {"path": "b.py"}, {}]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [('{"path": ', "valid JSON"), ("[1]", "JSON object"), ('{"n": NaN}', "valid JSON"), ("[" * 100_000, "valid JSON")],
)
def test_a_call_that_is_none_misfires(arguments: str, reason: str) -> None:
    pieces, last = answered(delta(tool_calls=[call_delta(0, "read", arguments)]), delta("tool_calls"))
    [misfired] = pieces
    assert isinstance(misfired, Misfired)
    assert reason in misfired.reason
    assert last.message == Message(role="assistant", content=f"read({arguments})")


def test_a_call_without_a_name_or_an_end_misfires() -> None:
    pieces, _ = answered(delta(tool_calls=[call_delta(0, None, "{}")]), delta("stop"))
    cut, last = answered(delta(tool_calls=[call_delta(0, "read", '{"pa')]), delta("length"))
    assert "names no tool" in str(pieces)
    assert "cut off" in str(cut)
    assert last.usage.stopped == "length"


def test_a_call_that_was_wanted_and_did_not_come_misfires() -> None:
    pieces, _ = answered(delta(content="No."), delta("stop"), tools=[READ], choice="required")
    assert isinstance(pieces[-1], Misfired)


def test_a_call_that_a_server_left_in_the_text_is_one() -> None:
    text = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>'
    pieces, last = answered(delta(content=text), delta("stop"), tools=[READ], choice="required")
    [called] = [piece for piece in pieces if not isinstance(piece, Said)]
    assert isinstance(called, Called)
    assert (called.call.name, called.call.arguments) == ("read", {"path": "a.py"})
    assert last.message.calls == (called.call,)
    without, _ = answered(delta(content=text), delta("stop"))
    assert all(isinstance(piece, Said) for piece in without)


def test_surrogates_in_arguments_do_not_get_further() -> None:
    pieces, last = answered(delta(tool_calls=[call_delta(0, "read", '{"path": "\\ud800"}')]), delta("stop"))
    assert isinstance(pieces[0], Called)
    assert json.loads(last.model_dump_json())["message"]["calls"][0]["arguments"] == {"path": "?"}


def test_thoughts_in_the_text_are_told_apart_only_at_its_beginning() -> None:
    def split(*texts: str) -> tuple[str, str]:
        pieces, last = answered(*(delta(content=text) for text in texts), delta("stop"))
        thought = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
        return thought, last.message.content

    assert split("\n<th", "ink>I wo", "nder</thi", "nk>\n", "\nYes.") == ("I wonder", "Yes.")
    assert split("<think>a < b</think", "!") == ("a < b</think!", "")
    assert split("The mark <think>", " opens.") == ("", "The mark <think> opens.")
    assert split("  <thi") == ("", "  <thi")
    assert split("<think></think>Yes") == ("", "Yes")


# --- stopping --------------------------------------------------------------------------------------------------------


def test_closing_the_iterator_closes_the_connection() -> None:
    reply = endless(STREAM + events(delta(content="a"), done=False), events(delta(content="a"), done=False))
    with Endpoint({LIST: models("m"), CHAT: reply}) as endpoint:
        pieces = model_of(endpoint).stream(QUESTION, Sampling())
        assert next(pieces) == Said(text="a")
        pieces.close()  # type: ignore[attr-defined]
        assert endpoint.gone.wait(PATIENCE)


@pytest.mark.parametrize("first", [b"", STREAM, STREAM + events(delta(content="a"), done=False)])
def test_cancelling_ends_an_answer_that_hangs(first: bytes) -> None:
    with Endpoint({LIST: models("m"), CHAT: hangs(first)}) as endpoint:
        model = model_of(endpoint, timeout_seconds=60)
        model.load()
        threading.Thread(target=lambda: (endpoint.begun.wait(PATIENCE), model.cancel())).start()
        *_, last = model.stream(QUESTION, Sampling())
    assert isinstance(last, Finished)
    assert last.usage.stopped == "user"


def test_a_model_answers_again_after_it_was_cancelled() -> None:
    with Endpoint({LIST: models("m"), CHAT: as_stream(delta("stop", content="yes"))}) as endpoint:
        model = model_of(endpoint)
        model.cancel()
        *_, last = model.stream(QUESTION, Sampling())
    assert isinstance(last, Finished)
    assert last.message.content == "yes"


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there() -> None:
    with Endpoint() as endpoint:
        model = model_of(endpoint)
    with pytest.raises(EndpointError, match=r"cannot be reached .* Start it"):
        model.load()


def test_a_server_that_hangs() -> None:
    error = failure(hangs(), timeout_seconds=0.2)
    assert "nothing for 0.2 seconds" in str(error)
    assert "nothing for 0.2 seconds" in str(failure(hangs(STREAM + events({}, done=False)), timeout_seconds=0.2))
    assert "nothing for 0.2 seconds" in str(failure(b"", hangs(), timeout_seconds=0.2))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Choose another model"),
        (401, "credentials set endpoint"),
        (403, "credentials set endpoint"),
        (404, "ends in /v1"),
        (422, "Choose another model"),
        (429, "in a while"),
        (500, "look at its log"),
        (503, "look at its log"),
    ],
)
def test_errors_that_a_server_states(status: int, words: str) -> None:
    said = f"Sorry,\n\x1b[31m no. You sent {KEY} and {KEY.split()[1]}"
    for body in ({"error": {"message": said, "code": status}}, {"detail": said}, {"error": said}, said, [said], None):
        error = failure(as_json(body, status))
        assert isinstance(error, EndpointError)
        assert words in str(error)
    assert words in str(failure(b"", as_json({"error": {"message": said}}, status)))


def test_whether_there_was_a_key_is_told() -> None:
    with Endpoint({LIST: as_json({}, 401)}) as endpoint:
        with pytest.raises(EndpointError, match="wants a key"):
            model_of(endpoint).load()
        with pytest.raises(EndpointError, match="does not accept the key"):
            model_of(endpoint, KEY).load()


@pytest.mark.parametrize(
    "error",
    [
        {"code": 400, "message": "it does not fit", "type": "exceed_context_size_error", "n_ctx": 256},
        {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
        {"message": "too much", "code": "context_length_exceeded"},
        {"message": "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it"},
    ],
)
def test_a_prompt_that_does_not_fit(error: dict[str, object]) -> None:
    assert isinstance(failure(as_json({"error": error}, 400)), PromptTooLong)
    assert isinstance(failure(as_stream({"error": error})), PromptTooLong)


def test_an_error_in_the_middle_of_an_answer() -> None:
    error = failure(as_stream(delta(content="a"), {"error": {"message": "out of memory"}}))
    assert "in the middle" in str(error)
    assert "out of memory" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(status: int) -> None:
    with Endpoint({LIST: models("m")}) as other:
        moved = response(b"", status, Location=other.url + "/models")
        assert "another address" in str(failure(moved))
        assert "another address" in str(failure(b"", moved))
        assert other.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        response(b"data: {not json}\n\n", Content_Type="text/event-stream"),
        response(b"data: \xff\xfe\n\n", Content_Type="text/event-stream"),
        response(b"data: " + b"[" * 100_000 + b"\n\n", Content_Type="text/event-stream"),
        as_stream({"choices": 5}),
        as_stream({"choices": [{"delta": {"content": {"no": "text"}}}]}),
        as_stream(delta(tool_calls={"index": 0})),
        as_stream(delta("stop"), {"choices": [], "usage": {"prompt_tokens": -1}}),
        as_stream([], "text", 7),
        b"\x00\x01\x02 nothing of HTTP\r\n\r\n",
    ],
)
def test_garbage_is_an_error(reply: bytes) -> None:
    gc.collect()  # what earlier tests left would be finalised in the depths of the third reply, and fail there
    assert isinstance(failure(reply), EndpointError)


def test_what_is_no_stream_is_an_error() -> None:
    whole = {"choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]}
    for reply in (as_json(whole), response(b"<html>Hello</html>", Content_Type="text/html"), b"", as_stream()):
        assert "without an answer" in str(failure(reply))


def test_an_answer_that_is_dropped_in_the_middle() -> None:
    begun = events(delta(content="a"), done=False)
    assert "in the middle" in str(failure(chunked([begun], complete=False)))
    assert "in the middle" in str(failure(chunked([begun])))
    assert "in the middle" in str(failure(as_stream(delta(content="a"), done=False)))
    assert "without an answer" in str(failure(chunked([b": ping\n\n"], complete=False)))


def test_what_was_said_before_is_not_lost() -> None:
    replies = {LIST: models("m"), CHAT: chunked([events(delta(content="a"), done=False)], complete=False)}
    with Endpoint(replies) as endpoint:
        pieces = model_of(endpoint).stream(QUESTION, Sampling())
        assert next(pieces) == Said(text="a")
        with pytest.raises(EndpointError):
            next(pieces)


def test_a_line_or_an_answer_without_end_is_refused() -> None:
    assert "far too much" in str(failure(endless(STREAM + b"data: ", b"x" * 65536)))
    comments = (b":" + b"x" * (LONGEST_LINE // 2) + b"\n") * 2
    assert "far too much" in str(failure(endless(STREAM, comments)))
    assert "far too much" in str(failure(b"", endless(response(b""), b"x" * 65536)))


def test_a_packed_answer_is_refused() -> None:
    assert "packs" in str(failure(response(b"\x1f\x8b", Content_Encoding="gzip")))


def test_a_server_that_speaks_no_tls_is_not_trusted() -> None:
    with Endpoint({LIST: models("m")}) as endpoint:
        model = model_of(endpoint, url=endpoint.url.replace("http:", "https:"))
        with pytest.raises(EndpointError, match="cannot be trusted"):
            model.load()


def test_a_certificate_that_nobody_signed_is_not_trusted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "server.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as client:
                client.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match=r"cannot be trusted \(.*certificate"):
            RemoteModel("", EndpointSettings(url=url), lambda: None).load()
        thread.join()


def certificate(path: Path) -> Path:
    """A file with a new key and a certificate that it signed itself, for 127.0.0.1."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + signed.public_bytes(pem))
    return path


# --- anything at all -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["", "a", "<think>", "</think>", '{"path": "a"}', "stop", "length", "error", "read", "\ud800"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
FUNCTIONS = st.fixed_dictionaries({}, optional={"name": WORDS | ANYTHING, "arguments": WORDS | ANYTHING})
CALLS = st.fixed_dictionaries({}, optional={"index": st.integers(0, 2) | ANYTHING, "id": WORDS, "function": FUNCTIONS})
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": WORDS | ANYTHING,
        "reasoning": WORDS,
        "tool_calls": st.lists(CALLS, max_size=3) | ANYTHING,
    },
)
CHOICES = st.fixed_dictionaries({}, optional={"delta": DELTAS | ANYTHING, "finish_reason": WORDS | ANYTHING})
CHUNKS = st.fixed_dictionaries(
    {},
    optional={"choices": st.lists(CHOICES, max_size=2) | ANYTHING, "usage": ANYTHING, "timings": ANYTHING},
)


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[Endpoint, RemoteModel]]:
    with Endpoint({LIST: models("m")}) as endpoint:
        yield endpoint, model_of(endpoint)


def comes_to_an_end(scripted: tuple[Endpoint, RemoteModel], reply: bytes) -> None:
    endpoint, model = scripted
    endpoint.replies[CHAT] = reply
    with contextlib.suppress(EndpointError, PromptTooLong):
        *_, last = model.stream(QUESTION, Sampling(), [READ], "required")
        assert isinstance(last, Finished)
        assert last.model_dump_json()


@given(st.lists(CHUNKS | ANYTHING, max_size=6))
def test_any_chunks_become_pieces_or_an_error(scripted: tuple[Endpoint, RemoteModel], chunks: list[object]) -> None:
    comes_to_an_end(scripted, as_stream(*chunks, delta("stop")))


@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b"data: ", b"\n\n", b"\r", b"event: x\n", b"[DONE]", b'{"choices":[]}'])
    )
)
def test_any_bytes_become_pieces_or_an_error(scripted: tuple[Endpoint, RemoteModel], parts: list[bytes]) -> None:
    comes_to_an_end(scripted, STREAM + b"".join(parts))
