"""The interactive face: a prompt_toolkit session."""
