"""Other products' protocols, spoken as their senders expect."""
