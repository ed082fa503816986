"""Hits -> events: the turn."""
