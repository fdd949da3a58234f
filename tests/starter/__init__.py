"""How the starter model was made; see README.md."""
