from pathlib import Path

from config import DEFAULTS, load_config

assert load_config(Path("there-is-no-such-file.json")) == {"port": 8080, "debug": False}, (
    "the defaults are not returned"
)
place = Path("sample.json")
place.write_text('{"port": 9000}')
assert load_config(place) == {"port": 9000, "debug": False}, "a file that is there is not read any more"
assert DEFAULTS == {"port": 8080, "debug": False}, "the defaults were changed"
place.write_text("{port")
try:
    load_config(place)
except ValueError:
    pass
else:
    raise AssertionError("a file that is no JSON raises nothing")
