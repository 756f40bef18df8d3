"""What more than one resource of the API writes or reads."""
