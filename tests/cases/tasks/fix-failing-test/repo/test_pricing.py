import unittest

from pricing import apply_discount


class Discount(unittest.TestCase):
    def test_ten_percent(self):
        self.assertEqual(apply_discount(200, 10), 180)
