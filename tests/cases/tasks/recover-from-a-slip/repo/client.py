TIMEOUT = 10


def get(url):
    return url, TIMEOUT
