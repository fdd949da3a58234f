"""Messages in, chunks out: joins store, prompt, engine and parsers."""
