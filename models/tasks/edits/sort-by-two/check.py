from league import champion, ranking

points = {"Zebras": 10, "Lions": 12, "Apes": 10, "Bears": 3, "Moles": 12}
assert ranking(points) == ["Lions", "Moles", "Apes", "Zebras", "Bears"], f"the order is {', '.join(ranking(points))}"
assert champion({"B": 1, "A": 1}) == "A", "champion() does not use the order"
