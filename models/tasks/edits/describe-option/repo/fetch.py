"""Fetches a page."""

import argparse


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--header", help="a line to send along")
    made.add_argument("--output", help="where to write the page")
    made.add_argument("--retries", type=int, help="how often to try again")
    made.add_argument("--timeout", type=float, help="seconds to wait")
    return made
