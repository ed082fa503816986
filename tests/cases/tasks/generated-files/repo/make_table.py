import json
import pathlib

pathlib.Path("out").mkdir()
pathlib.Path("out/table.json").write_text(json.dumps({"n": 3}))
