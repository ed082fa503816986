"""The program and its models in one signed file, for a machine that has no network."""
