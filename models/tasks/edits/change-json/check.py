import json
from pathlib import Path

values = json.loads(Path("service.json").read_text())
assert values.get("port") == 9090, f"port is {values.get('port')!r}"
assert values.get("features") == ["search", "login", "cache"], f"features are {values.get('features')!r}"
assert "legacy" not in values, "legacy is still there"
assert values.get("name") == "shop", "the name was changed"
assert values.get("limits") == {"requests": 100, "legacy": False}, "limits were changed"
