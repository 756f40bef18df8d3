"""Contact methods, personal rules, deliveries and their attempts."""
