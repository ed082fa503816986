"""Says whether colours are dark: main.py COLOUR..."""

import sys

from colours import invert, is_dark, parse

for argument in sys.argv[1:]:
    colour = parse(argument)
    print(argument, "dark" if is_dark(colour) else "light", invert(colour))
