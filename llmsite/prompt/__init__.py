"""Messages to prompt text: Go and Jinja templates, what they can do, history cut to size. No files, no network."""
