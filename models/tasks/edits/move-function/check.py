from pathlib import Path

from groups import is_member
from names import normalise
from users import same_user

assert normalise("  Ada   LOVELACE ") == "ada lovelace", "normalise() does not work any more"
assert normalise.__module__ == "names", f"names.py does not define normalise: {normalise.__module__} does"
assert "def normalise" not in Path("users.py").read_text(), "users.py still defines it"
assert "from users import" not in Path("groups.py").read_text(), "groups.py still imports from users"
assert same_user("Ada", " ADA "), "same_user() does not work any more"
assert is_member("ada", ["Bob", "ADA"]), "is_member() does not work any more"
