"""What rests on disk."""
