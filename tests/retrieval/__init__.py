"""Tests of the circle's first half: file change to hits."""
