"""File change -> hits: watching, chunking, embedding, storing and ranking."""
