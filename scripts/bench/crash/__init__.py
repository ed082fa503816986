"""Kills processes that work on a vault, and looks whether anything that was said to be stored is lost."""
