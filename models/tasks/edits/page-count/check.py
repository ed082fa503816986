from paging import page, pages

for items, size, wanted in ((0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (20, 10, 2), (7, 1, 7)):
    assert pages(items, size) == wanted, f"pages({items}, {size}) is {pages(items, size)}, not {wanted}"
assert page(["a", "b", "c"], 2, 2) == ["c"], "page() does not work any more"
