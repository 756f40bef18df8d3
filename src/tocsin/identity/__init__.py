"""Users, teams, roles, tokens and sessions; the `Actor` that every use case asks for permission."""
