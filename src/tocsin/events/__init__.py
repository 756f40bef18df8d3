"""Everything that can happen: the vocabulary, the append-only log and the live stream."""
