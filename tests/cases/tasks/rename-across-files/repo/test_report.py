import unittest

import store
from report import title


class Report(unittest.TestCase):
    def test_title(self):
        self.assertEqual(title("ada"), "Ada")

    def test_its_name(self):
        self.assertTrue(hasattr(store, "load"))
