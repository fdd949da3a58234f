"""Warm, limited processes that look at what strangers made: GGUF headers and templates."""
