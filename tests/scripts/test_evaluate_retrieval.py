"""All that scripts/evaluate-retrieval asks, on a repository of three commits; hashing in the transformer's stead."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.loaded import Dense
from offline_agent.retrieval.lock import owned
from offline_agent.retrieval.rank import load_weights
from offline_agent.retrieval.tokens import WordCounter
from offline_agent.settings import IndexSettings
from scripts.evaluate import docstrings, history, questions
from scripts.evaluate.baseline import BM25, Passage, Windows, tokens
from scripts.evaluate.cases import accuracy, place, reciprocal_rank
from scripts.evaluate.checkouts import fill, find_clone
from scripts.evaluate.rankings import fused
from scripts.evaluate.retrieval import main
from scripts.evaluate.subject import Tools

DECLARATIONS = Path(__file__).parents[2] / "index"

SESSION = '''class Session:
    def close(self):
        """Close every adapter of this session."""
        self.adapters.clear()

    def send(self, request):
        """Send a prepared request and follow its redirects."""
        return self.adapter.send(request)
'''
COOKIES = '''def merge_cookies(jar, cookies):
    """Merge the cookies of a response into the given jar."""
    jar.update(cookies)
    return jar
'''
ISSUE = {
    "instance_id": "cookies-lost",
    "repo": "acme/client",
    "problem_statement": "merge_cookies loses cookies\n\nThe jar is empty after merge_cookies was called.",
    "gold_files": ["client/cookies.py"],
}


class Transformer(HashingEmbedder):
    """Another hashing embedder by name, so that it has vectors of its own."""

    fingerprint = "hashing-transformer"


def tools(dense: bool) -> Tools:
    return Tools(
        declarations=DECLARATIONS,
        settings=IndexSettings(),
        counter=WordCounter(),
        weights=load_weights(DECLARATIONS),
        open_static=lambda: Dense(HashingEmbedder(), ExactIndex()),
        dense=Transformer() if dense else None,
    )


def git(repository: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(repository), *who, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clones" / "acme" / "client"
    fill(
        root, {"client/session.py": SESSION.encode(), "client/cookies.py": COOKIES.encode(), "client/__init__.py": b""}
    )
    git(root, "init", "-q")
    commit(root, "First version")
    (root / "client/cookies.py").write_text(COOKIES.replace("jar.update(cookies)", "jar |= cookies"))
    commit(root, "Merge cookies in place, so that the jar keeps them (#12)\n\nSigned-off-by: A <a@example.org>")
    (root / "client/session.py").write_text(SESSION.replace("return ", "yield "))
    commit(root, "Fix typo in the docs of session close")
    return root


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"], tools) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# --- the four kinds of question ---


def test_issues_are_asked_of_the_version_before_the_change(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = issues(tmp_path, [{**ISSUE, "base_commit": git(clone, "rev-list", "--max-parents=0", "HEAD")}])
    found = evaluate(capsys, "localisation", str(file), "--clones", str(tmp_path / "clones"))
    assert (found["mode"], found["questions"], found["complete"]) == ("localisation", 1, True)
    assert found["rankings"]["everything"]["Acc@1"] == 100.0
    assert found["cases"][0]["first"] == "client/cookies.py"
    assert {"plain BM25", "words", "static", "dense", "words + dense, blindly"} < set(found["rankings"])
    assert {"without dense", "without static", "without words", "without coherence"} < set(found["rankings"])


def test_a_file_that_is_not_there_is_never_found(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {**ISSUE, "base_commit": "HEAD", "gold_files": ["client/cookies.py", "client/new.py"]}
    found = evaluate(capsys, "localisation", str(issues(tmp_path, [row])), "--clones", str(tmp_path / "clones"))
    assert found["cases"][0]["missing"] == ["client/new.py"]
    assert set(found["cases"][0]["places"].values()) == {None}


def test_messages_of_commits_ask_for_the_files_they_changed(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(capsys, "commits", "--clone", str(clone), "--no-dense")
    [case] = found["cases"]  # the first commit has nothing before it, the last is about no behaviour
    assert case["name"].endswith(" Merge cookies in place, so that the jar keeps them")
    assert case["wanted"] == ["client/cookies.py"]
    assert case["places"]["everything"] == 1
    assert "dense" not in case["places"]


def test_documentation_need_not_count(clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "COOKIES.md").write_text("# Merging cookies\n\nHow to merge cookies: merge_cookies merges cookies.\n")
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"question": "merging cookies", "paths": ["client/cookies.py"]}))
    asked = ("questions", str(file), "--repo", str(clone), "--no-dense")
    assert evaluate(capsys, *asked)["cases"][0]["places"]["words"] == 2
    assert evaluate(capsys, *asked, "--source-only")["cases"][0]["places"]["words"] == 1


def test_own_questions_are_asked_where_the_repository_is(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.jsonl"
    row = {
        "kind": "which",
        "question": "which file merges cookies \ud83d",
        "paths": ["client/cookies.py", "elsewhere.py"],
    }
    file.write_text(json.dumps(row) + "\n\n")
    before = git(clone, "status", "--porcelain")
    found = evaluate(capsys, "questions", str(file), "--repo", str(clone))
    assert found["cases"][0]["places"]["everything"] == 1  # any of the paths is an answer
    assert git(clone, "status", "--porcelain") == before


def test_docstrings_ask_for_the_functions_they_were_taken_from(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(clone))
    found = evaluate(capsys, "docstrings", "client", "--queries", "10")
    assert found["questions"] == 3
    assert found["rankings"]["everything"]["Acc@1"] == 100.0
    assert "client/session.py:Session.send" in {case["first"] for case in found["cases"]}


# --- what people see ---


def test_a_table_and_each_question(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["commits", "--clone", str(clone), "--verbose", "--no-ablation"], tools) == 0
    out = capsys.readouterr().out
    assert "Acc@1   Acc@3   Acc@5  Acc@10  MRR@10" in out
    assert "1 question about client; one is 100.0 points." in out
    assert out.startswith("   1  ")
    assert "without coherence" not in out


def test_what_was_kept_is_used_again(clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("commits", "--clone", str(clone), "--keep", str(tmp_path / "kept"))
    first = evaluate(capsys, *asked)
    assert (tmp_path / "kept/commits/client/tree/client/session.py").is_file()
    assert evaluate(capsys, *asked) == first


def test_two_at_once_do_not_share_what_is_kept(clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["commits", "--clone", str(clone), "--keep", str(tmp_path / "kept")]
    assert main(asked, tools) == 0
    [index] = (tmp_path / "kept/commits/client/data").rglob("index")
    with owned(index):
        assert main(asked, tools) == 20
    assert "Another process" in capsys.readouterr().err


def test_an_interruption_prints_what_is_known(clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupting(Transformer):
        def encode(self, texts: Sequence[str]) -> Any:
            if any("yield" in text for text in texts):
                raise KeyboardInterrupt
            return super().encode(texts)

    file = issues(tmp_path, [{**ISSUE, "base_commit": commit} for commit in ("HEAD~1", "HEAD")])
    asked = ["localisation", str(file), "--clones", str(tmp_path / "clones"), "--json"]
    assert main(asked, lambda _: replace(tools(False), dense=Interrupting())) == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["questions"]) == (False, 1)


def test_nothing_is_known_yet(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(dense: bool) -> Tools:
        raise KeyboardInterrupt

    assert main(["commits", "--clone", str(clone)], interrupted) == 130
    assert "Nothing was asked.\nIt was interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "issues.jsonl:1 is not JSON"),
        ('{"repo": "a/b"}', "issues.jsonl:1 lacks instance_id, base_commit"),
        ("[]", "lacks"),
    ],
)
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "issues.jsonl"
    file.write_text(line)
    with pytest.raises(SystemExit, match=complaint):
        main(["localisation", str(file), "--clones", str(tmp_path)], tools)


def test_what_is_not_there_is_named(clone: Path, tmp_path: Path) -> None:
    for arguments, complaint in (
        (("localisation", str(tmp_path / "none.jsonl"), "--clones", str(tmp_path)), "cannot be read"),
        (("questions", "--repo", str(clone)), r"There is no .*client\.jsonl"),
        (("docstrings", "no_such_package"), "There is no package no_such_package"),
        (("commits", "--clone", str(tmp_path)), "not a git repository"),
    ):
        with pytest.raises(SystemExit, match=complaint):
            main(arguments, tools)
    with pytest.raises(SystemExit, match="There is no clone of acme/other"):
        find_clone(tmp_path, "acme/other")


def issues(directory: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file = directory / "issues.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


# --- the pieces ---


def test_the_place_of_an_answer() -> None:
    order = [("a", ""), ("b", ""), ("c", "")]
    assert place(order, [("c", ""), ("a", "")], every=True) == 3
    assert place(order, [("c", ""), ("a", "")], every=False) == 1
    assert place(order, [("a", ""), ("d", "")], every=True) is None
    assert place(order, [("d", "")], every=False) is None


def test_measures() -> None:
    places = [1, 4, None, 20]
    assert [accuracy(places, top) for top in (1, 5, 10)] == [25.0, 50.0, 50.0]
    assert reciprocal_rank(places) == pytest.approx((1 + 0.25) / 4)


def test_compounds_are_split() -> None:
    assert list(tokens("getHTTPAuth2(my_jar) plain")) == [
        *("gethttpauth2", "get", "http", "auth", "2"),
        *("my_jar", "my", "jar"),
        "plain",
    ]


def test_plain_bm25_prefers_the_rare_word_and_the_short_passage() -> None:
    passages = [
        Passage(("long", ""), "cookie " + "request " * 40),
        Passage(("short", ""), "cookie request"),
        Passage(("other", ""), "request request"),
    ]
    bm25 = BM25(passages)
    assert bm25.search("where is the Cookie of a request?") == [("short", ""), ("long", ""), ("other", "")]
    assert bm25.search("nothing") == []
    assert BM25([]).search("cookie") == []


def test_windows_read_only_what_changed() -> None:
    windows = Windows()
    assert len(windows.update({("a", "1"): "x\n" * 50, ("b", "1"): "y"})) == 3
    assert windows.knows(("a", "1"))
    assert len(windows.update({("a", "1"): None})) == 2
    assert not windows.knows(("b", "1"))


def test_fusion_goes_by_places_alone() -> None:
    assert fused([[1, 2, 3], [3, 1]]) == [1, 3, 2]


def test_no_docstring_is_left_and_lines_are_those_of_what_is_left() -> None:
    text = (
        '"""Module."""\n\nclass A:\n    """Only words."""\n\n\nasync def f(\n    a,\n):\n    """First.\n\n    More.\n    """\n'
        '    return a\n\n\ndef g(): """On one line."""\n\n\ndef h():\n    """Nothing else."""\n'
    )
    bare = docstrings.stripped(text)
    assert bare.text == "\nclass A:\n    ...\n\n\nasync def f(\n    a,\n):\n    return a\n\n\n" + (
        'def g(): """On one line."""\n\n\ndef h():\n    ...\n'
    )
    assert {(one.words.partition("\n")[0], bare.text.split("\n")[one.line - 1]) for one in bare.functions} == {
        ("First.", "async def f("),
        ("Nothing else.", "def h():"),
    }
    assert docstrings.stripped("def broken(") == docstrings.Stripped("def broken(", ())


def test_short_docstrings_ask_nothing() -> None:
    assert docstrings.asked("Close it.") == ""
    assert docstrings.asked("Close every adapter\n  of the session.\n\nMore.") == "Close every adapter of the session."


def test_chores_are_no_questions() -> None:
    assert history.asked("Bump version to 1.2.3 for the release") == ""
    assert history.asked("Fix it") == ""
    assert history.asked("Keep the jar of a prepared request (#7)\n\nCloses #6") == "Keep the jar of a prepared request"


def test_questions_named_like_the_repository(tmp_path: Path) -> None:
    for name in ("flask", "flask-mine", "flasky", "requests"):
        (tmp_path / f"{name}.jsonl").touch()
    found = [file.stem for file in questions.files_for("Flask", tmp_path)]
    assert found == ["flask", "flask-mine"]
    assert [file.stem for file in questions.files_for("requests-2.32.5", tmp_path)] == ["requests"]


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@given(st.lists(st.dictionaries(names, st.binary(max_size=3), max_size=4), max_size=4))
def test_a_directory_holds_what_it_was_filled_with_last(versions: list[dict[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        for version in versions:
            # A path cannot be a file and a directory.
            files = {
                name: data
                for name, data in version.items()
                if not any(f"{name}/" in f"{one}/" and one != name for one in version)
            }
            fill(directory, files)
            found = {
                path.relative_to(directory).as_posix(): path.read_bytes()
                for path in directory.rglob("*")
                if path.is_file()
            }
            assert found == files
