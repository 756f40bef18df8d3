"""The database: engine and transactions, the bell, the embedded server, migrations."""
