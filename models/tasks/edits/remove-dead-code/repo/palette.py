"""The colours of the product."""

from colours import parse

PRIMARY = parse("#204080")
