"""Counts the lines of a file: count.py FILE"""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    text = arguments.file.read_text()
    print(len(text.splitlines()))


if __name__ == "__main__":
    main()
