"""A model is fetched from a hub: what is planned, what is refused, what is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent.errors import (
    Denied,
    HubRefused,
    InUse,
    ModelBroken,
    ModelMismatch,
    PullError,
    StorageError,
    UsageError,
)
from offline_agent.library.store import Library
from offline_agent.library.verify import verify
from offline_agent.models import EmbedderCard, ModelCard, Source, SourceFile
from tests.library.hub_server import Fault, blob_id, digest
from tests.library.pulling import FILE, REFERENCE, REPOSITORY, SIZE, Ground, check, gguf, ground


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as made:
        yield made


def content(here: Ground, name: str = "model-q4") -> bytes:
    holding = here.library.find(name)
    assert holding is not None
    return here.library.path_of(holding).read_bytes()


# --- the plan


def test_a_plan_says_where_and_how_much_and_fetches_nothing(here: Ground) -> None:
    here.hub.licences[REPOSITORY] = "apache-2.0"
    plan = here.puller().plan(REFERENCE)
    assert plan.name == "model-q4"
    assert plan.hosts == ("127.0.0.1",)
    assert (plan.size, plan.on_disk, plan.missing) == (SIZE, 0, SIZE)
    assert plan.revision == here.hub.commit(REPOSITORY)
    assert plan.files[0].sha256 == digest(here.file)
    assert plan.licence == "apache-2.0"
    assert plan.trust == "hub"
    assert here.hub.sent() == 0
    assert not here.library.directory_of("x").parent.exists()


def test_a_plan_names_the_content_host(tmp_path: Path, here: Ground) -> None:
    here.hub.faults.append(
        Fault("resolve", method="HEAD", headers={"Location": "http://localhost:9/elsewhere?Signature=1"})
    )
    assert here.puller().plan(REFERENCE).hosts == ("127.0.0.1", "localhost")


def test_a_repository_with_one_model_needs_no_file_name(here: Ground) -> None:
    assert here.puller().plan(f"hub:{REPOSITORY}").files[0].name == FILE


def test_of_several_models_one_is_to_be_named(here: Ground) -> None:
    (here.file.parent / "model-q8.gguf").write_bytes(gguf())
    with pytest.raises(UsageError, match=r"2 \.gguf files.*model-q4\.gguf, model-q8\.gguf"):
        here.puller().plan(f"hub:{REPOSITORY}")


def test_a_file_that_is_not_there_is_said_with_those_that_are(here: Ground) -> None:
    with pytest.raises(UsageError, match=r"no file model-q5\.gguf.*model-q4\.gguf"):
        here.puller().plan(f"hub:{REPOSITORY}/model-q5.gguf")


def test_policy_forbids_pulling(here: Ground) -> None:
    with pytest.raises(Denied, match="models import"):
        here.puller(pull=False).plan(REFERENCE)
    assert here.hub.seen == []


def test_policy_allows_what_the_catalogue_pins(here: Ground) -> None:
    puller = here.puller(listed_only=True)
    with pytest.raises(Denied, match="listed_only"):
        puller.plan(REFERENCE)
    with pytest.raises(Denied, match="listed_only"):
        puller.plan(here.card(sha256=""))
    assert here.hub.seen == []
    assert puller.pull(puller.plan(here.card())).trust == "catalogue"


def test_hosts_that_policy_does_not_name_are_not_connected_to(here: Ground) -> None:
    asked: list[str] = []
    with pytest.raises(Denied, match=r"127\.0\.0\.1"):
        here.puller(hosts=("*.example.org",)).plan(REFERENCE, asking=asked.append)
    assert here.hub.seen == []
    assert asked == []


def test_a_redirect_to_a_host_that_policy_does_not_name_is_not_followed(here: Ground) -> None:
    puller = here.puller(hosts=("127.0.0.1",))
    plan = puller.plan(REFERENCE)
    port = here.hub.content_url.rpartition(":")[2]
    here.hub.faults.append(Fault("resolve", headers={"Location": f"http://localhost:{port}/{REPOSITORY}/{FILE}"}))
    with pytest.raises(Denied, match="localhost"):
        puller.pull(plan)
    assert here.hub.of("content") == []


def test_a_full_disk_is_seen_before_anything_is_fetched(here: Ground) -> None:
    puller = here.puller()
    plan = puller.plan(REFERENCE)
    huge = plan.model_copy(update={"size": 1 << 60})
    with pytest.raises(StorageError, match=r"Free \d+\.\d GB more"):
        puller.pull(huge)
    here.hub.announced[FILE] = {"size": 1 << 60}
    with pytest.raises(StorageError, match="too little room"):
        puller.plan(REFERENCE)
    assert here.hub.sent() == 0


# --- what is kept


def test_a_model_is_fetched(here: Ground) -> None:
    holding = here.pull()
    assert content(here) == here.file.read_bytes()
    assert holding.files[0].sha256 == digest(here.file)
    assert holding.trust == "hub"
    assert holding.revision == here.hub.commit(REPOSITORY)
    assert holding.repository == REPOSITORY
    assert sorted(path.name for path in here.library.directory_of("model-q4").iterdir()) == ["holding.json", FILE]
    assert here.library.unfinished() == {}


def test_what_is_here_is_not_fetched_again(here: Ground) -> None:
    first = here.pull()
    sent = here.hub.sent()
    plan = here.puller().plan(REFERENCE)
    assert plan.here == first
    assert here.puller().pull(plan) == first
    assert here.hub.sent() == sent


def test_what_is_here_and_damaged_is_fetched_again(here: Ground) -> None:
    holding = here.pull()
    with here.library.path_of(holding).open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"another byte")
    read: list[int] = []
    plan = here.puller().plan(REFERENCE, progress=lambda done, total: read.append(done))
    assert plan.here is None
    assert plan.notes == ("The model-q4 that is here is not what it was: it is fetched again.",)
    assert read[-1] == SIZE
    here.puller().pull(plan)
    assert verify(here.library, holding) == []


def test_a_newer_content_takes_the_place_of_the_older(here: Ground) -> None:
    first = here.pull()
    here.file.write_bytes(gguf(seed=2))
    plan = here.puller().plan(REFERENCE)
    assert any("takes the place" in note for note in plan.notes)
    second = here.puller().pull(plan)
    assert second.revision != first.revision
    assert content(here) == gguf(seed=2)


def test_a_model_of_the_same_name_from_elsewhere_is_not_replaced(here: Ground) -> None:
    here.pull()
    other = here.hub.directory / "other" / "repository"
    other.mkdir(parents=True)
    (other / FILE).write_bytes(gguf(seed=3))
    with pytest.raises(UsageError, match="--name"):
        here.puller().plan(f"hub:other/repository/{FILE}")
    puller = here.puller()
    puller.pull(puller.plan(f"hub:other/repository/{FILE}", name="other"))
    assert content(here, "other") == gguf(seed=3)
    assert content(here) == gguf()


def test_a_name_that_was_given_is_had_or_refused(here: Ground) -> None:
    assert here.puller().plan(REFERENCE, "Mine").name == "mine"
    with pytest.raises(UsageError, match="--name my-model"):
        here.puller().plan(REFERENCE, "their/My Model.gguf")


def test_an_older_revision_can_be_named(here: Ground) -> None:
    commit = here.hub.commit(REPOSITORY)
    assert here.pull(f"{REFERENCE}@{commit}").revision == commit
    with pytest.raises(HubRefused, match="revision"):
        here.pull(f"{REFERENCE}@{'0' * 40}")


def test_all_parts_of_a_split_model_are_fetched(here: Ground) -> None:
    names = [f"big-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for seed, name in enumerate(names):
        (here.file.parent / name).write_bytes(gguf(50_000, seed))
    holding = here.pull(f"hub:{REPOSITORY}/big-00002-of-00003.gguf")
    assert holding.name == "big"
    assert [file.name for file in holding.files] == names
    assert holding.size == 150_000
    assert here.library.path_of(holding).name == names[0]


def test_an_embedder_is_a_directory_whose_small_files_are_what_git_says(here: Ground) -> None:
    weights = b"\x10\0\0\0\0\0\0\0" + b'{"a":{"b":1}}   ' + b"\0" * 1000
    files = {
        "model.safetensors": weights,
        "config.json": b'{"a": 1}',
        "1_Pooling/config.json": b"{}",
        "vocab.txt": b"a\n",
    }
    top = here.hub.directory / "owner" / "embedder"
    for name, data in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    source = Source(repository="owner/embedder", files=tuple(SourceFile(name=name) for name in files))
    holding = here.pull(EmbedderCard(name="embedder", dimensions=2, max_tokens=8, source=source))
    assert holding.kind == "embedding"
    assert holding.trust == "hub"
    place = here.library.path_of(holding)
    assert {name: (place / name).read_bytes() for name in files} == files


def test_a_small_file_that_is_not_what_git_says_is_not_kept(here: Ground) -> None:
    (here.file.parent / "config.json").write_bytes(b'{"a": 1}')
    here.hub.announced["config.json"] = {"blobId": "1" * 40}
    source = Source(repository=REPOSITORY, files=(SourceFile(name="config.json"),))
    with pytest.raises(ModelMismatch, match=f"{blob_id(here.file.parent / 'config.json')}.*{'1' * 40}"):
        here.pull(EmbedderCard(name="embedder", dimensions=2, max_tokens=8, source=source))
    assert here.library.all() == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "modeling.py", "x.pkl", "run.sh", "noend"])
def test_files_that_run_are_not_fetched(here: Ground, name: str) -> None:
    card = ModelCard(name="model", source=Source(repository=REPOSITORY, files=(SourceFile(name=name),)))
    with pytest.raises(UsageError, match="run as a program"):
        here.puller().plan(card)
    assert here.hub.seen == []


# --- what is not what it should be


def test_a_hub_that_has_another_hash_than_the_card_is_not_fetched_from(here: Ground) -> None:
    with pytest.raises(ModelMismatch, match=f"{'a' * 64}.*{digest(here.file)}"):
        here.puller().plan(here.card(sha256="a" * 64))
    with pytest.raises(ModelMismatch, match=f"{SIZE + 1} bytes.*{SIZE}"):
        here.puller().plan(here.card(size=SIZE + 1))
    assert here.hub.of("content") == []


def test_bytes_with_a_wrong_hash_are_not_kept(here: Ground) -> None:
    here.hub.announced[FILE] = {"sha256": "b" * 64}
    with pytest.raises(ModelMismatch, match=f"{digest(here.file)}.*{'b' * 64}"):
        here.pull()
    assert here.library.all() == []
    assert not here.part.exists()


def test_a_size_that_is_a_lie_is_seen_before_a_byte_is_kept(here: Ground) -> None:
    here.hub.announced[FILE] = {"size": SIZE - 1}
    with pytest.raises(ModelMismatch, match=f"{SIZE} bytes"):
        here.pull()
    assert here.library.all() == []


def test_what_the_check_refuses_is_no_model(here: Ground) -> None:
    here.file.write_bytes(b"GGUF\x09" + b"\0" * 5000)
    with pytest.raises(ModelBroken):
        here.pull()
    assert here.library.all() == []
    assert here.library.unfinished() == {}


def test_a_broken_newcomer_leaves_the_older_model(here: Ground) -> None:
    here.pull()
    here.file.write_bytes(gguf(seed=2))
    here.hub.announced[FILE] = {"sha256": "c" * 64}
    with pytest.raises(ModelMismatch):
        here.pull()
    assert content(here) == gguf()


def test_two_pulls_of_the_same_model_do_not_mix(here: Ground) -> None:
    puller = here.puller()
    plan = puller.plan(REFERENCE)
    with here.library.incoming("model-q4"), pytest.raises(InUse):
        Ground(here.hub, Library(here.library.directory_of("x").parent, check)).puller().pull(plan)


# --- a file that belongs to no hub


def test_a_file_of_any_server_is_pinned_when_it_is_first_seen(here: Ground) -> None:
    plan = here.puller().plan(here.url)
    assert plan.trust == "first use"
    assert any("Nobody vouches" in note for note in plan.notes)
    holding = here.puller().pull(plan)
    assert holding.files[0].sha256 == digest(here.file)
    assert here.puller().plan(here.url).here == holding
    here.file.write_bytes(gguf(SIZE + 1))
    with pytest.raises(ModelMismatch, match="first fetched"):
        here.puller().plan(here.url)


def test_a_card_may_name_a_file_of_any_server(here: Ground) -> None:
    pinned = SourceFile(name=FILE, size=SIZE, sha256=digest(here.file))
    holding = here.pull(ModelCard(name="theirs", source=Source(url=here.url, files=(pinned,))))
    assert holding.trust == "catalogue"
    with pytest.raises(ModelMismatch):
        here.pull(ModelCard(name="other", source=Source(url=here.url, files=(SourceFile(name=FILE, size=5),))))


# --- who may


def test_a_token_opens_what_is_private_and_goes_nowhere_else(here: Ground) -> None:
    here.hub.tokens[REPOSITORY] = "Bearer secret"
    with pytest.raises(HubRefused, match="credentials set hub"):
        here.pull()
    here.pull(token="Bearer secret")
    assert content(here) == gguf()
    assert all("authorization" not in seen.headers for seen in here.hub.seen if seen.place == "content")
    assert here.hub.of("content")


def test_a_licence_that_nobody_accepted_is_said(here: Ground) -> None:
    here.hub.gated.add(REPOSITORY)
    with pytest.raises(HubRefused, match="accepted its licence"):
        here.pull(token="Bearer secret")


def test_a_repository_that_is_not_there(here: Ground) -> None:
    with pytest.raises(HubRefused, match="owner/nothing"):
        here.pull("hub:owner/nothing/model.gguf")


def test_nothing_is_told_but_what_is_needed(here: Ground) -> None:
    here.pull()
    for seen in here.hub.seen:
        assert set(seen.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection", "range"}
        assert seen.headers["user-agent"] == "offline-agent"
        assert seen.headers["accept-encoding"] == "identity"


def test_a_hub_that_nobody_answers_for(here: Ground) -> None:
    with pytest.raises(PullError, match="cannot be reached"):
        here.pull(endpoint="http://127.0.0.1:9")
