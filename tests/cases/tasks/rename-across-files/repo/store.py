def fetch(name):
    return {"name": name}
