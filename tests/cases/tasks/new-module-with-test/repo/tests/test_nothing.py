import unittest


class Ready(unittest.TestCase):
    def test_slugify_is_there(self):
        from slug import slugify

        self.assertEqual(slugify("Hello, World"), "hello-world")
