"""What stands on pages of more than one area."""
