"""Asks questions with known answers about a repository, and counts the answers that cite a right file.

An answer is right when its first citation is in a right file, and of a right definition where the question names any, and the
program did not have to fall back to search results; "in the results" also counts search results shown instead, any of the three.
Where nothing is right ("paths" is empty) the program has to say that it does not know.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from offline_agent.app import open_program
from offline_agent.cli.ask import as_json
from offline_agent.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path, help="a JSON lines file such as index/evals/flask.jsonl")
    parser.add_argument("--repo", type=Path, default=Path(), help="the repository they are about")
    parser.add_argument("--dense", action="store_true", help="search with vectors too: wait for the whole index first")
    parser.add_argument("--transcript", type=Path, help="write every question and answer there")
    parser.add_argument("--model", type=Path, help="a GGUF file (default: the built-in model)")
    arguments = parser.parse_args()
    questions = [
        json.loads(line) for line in arguments.questions.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    settings = load_settings()
    if arguments.model:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": arguments.model})})
    with open_program(settings, arguments.repo) as program:
        program.start_model()
        retriever = program.complete_retriever() if arguments.dense else program.one_shot_retriever()
        answers = [
            as_json(program.question(retriever).ask(question["question"]), model=program.card.name)
            for question in questions
        ]
    report(questions, answers)
    if arguments.transcript:
        arguments.transcript.write_text(transcript(questions, answers), encoding="utf-8")


def report(questions: list[dict[str, Any]], answers: list[dict[str, Any]]) -> None:
    kinds: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for question, answer in zip(questions, answers, strict=True):
        kinds[question["kind"]].append((is_right(question, answer), in_results(question, answer)))
    for kind, outcomes in [*kinds.items(), ("all", [outcome for group in kinds.values() for outcome in group])]:
        right, found = (sum(column) for column in zip(*outcomes, strict=True))
        print(f"{kind:<8} right {right:>3} of {len(outcomes):<3} right or in the results {found:>3}")


def is_right(question: dict[str, Any], answer: dict[str, Any]) -> bool:
    if not question["paths"]:
        return not answer["verified"] and "I do not know" in answer["answer"]
    if not answer["verified"] or not answer["citations"]:
        return False
    first, symbols = answer["citations"][0], question.get("symbols")
    return first["path"] in question["paths"] and (not symbols or first["symbol"] in symbols)


def in_results(question: dict[str, Any], answer: dict[str, Any]) -> bool:
    return any(citation["path"] in question["paths"] for citation in answer["citations"])


def transcript(questions: list[dict[str, Any]], answers: list[dict[str, Any]]) -> str:
    turns = []
    for question, answer in zip(questions, answers, strict=True):
        mark = "right" if is_right(question, answer) else "results" if in_results(question, answer) else "WRONG"
        turns.append(f"[{mark}] > {question['question']}\n{answer['answer']}\n")
    return "\n".join(turns)


if __name__ == "__main__":
    main()
