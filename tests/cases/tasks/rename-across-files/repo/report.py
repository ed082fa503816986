from store import fetch


def title(name):
    return fetch(name)["name"].title()
