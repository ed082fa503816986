from posts import address
from slug import slugify

for title, wanted in (
    ("Hello, World!", "hello-world"),
    ("  Ten   things  ", "ten-things"),
    ("C++ & C#: 2 languages", "c-c-2-languages"),
    ("already-fine", "already-fine"),
    ("?!", ""),
):
    assert slugify(title) == wanted, f"slugify({title!r}) is {slugify(title)!r}, not {wanted!r}"
assert address("Hello, World!") == "/posts/hello-world", f"address() is {address('Hello, World!')!r}"
