"""Model output to content and thinking, while it streams. Pure: text in, text out."""
