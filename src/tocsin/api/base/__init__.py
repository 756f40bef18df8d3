"""What every resource of the API is made with: bodies, lists, errors, idempotency, its description."""
