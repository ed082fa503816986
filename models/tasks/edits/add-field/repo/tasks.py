"""Things to do."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Task:
    title: str
    done: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"title": self.title, "done": self.done}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Task":
        return cls(values["title"], values["done"])
