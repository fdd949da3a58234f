"""REST endpoints, one module per subject: parse, call, respond."""
