"""Everything that leaves the machine: the guarded HTTP client and the mailer."""
