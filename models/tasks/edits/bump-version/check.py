import re
import tomllib
from pathlib import Path

import clock

project = tomllib.loads(Path("project.toml").read_text())["project"]
assert project["version"] == "1.5.0", f"project.toml has version {project['version']}"
assert project["requires"] == ["tzlib>=1.4.2"], (
    "project.toml requires another version of tzlib, which is another project"
)

assert clock.__version__ == "1.5.0", f"clock.py has version {clock.__version__}"
sections = re.split(r"^## ", Path("CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
heads = [section.splitlines()[0].strip() for section in sections]
assert heads == ["1.5.0", "1.4.2", "1.4.1"], f"the changelog has sections {heads}"
assert "- Faster start" in sections[0], "the new section lacks its line"
assert "- Summer time is right in Lisbon" in sections[1], "the section of 1.4.2 was changed"
