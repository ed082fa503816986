from tasks import Task

assert Task("a").priority == 0, "priority is not 0 by default"
assert Task("a", priority=3).to_dict() == {"title": "a", "done": False, "priority": 3}, "to_dict() does not write it"
assert Task.from_dict({"title": "a", "done": True, "priority": 5}) == Task("a", True, 5), "from_dict() does not read it"
assert Task.from_dict({"title": "a", "done": True}) == Task("a", True), "a dictionary without priority is not read"
