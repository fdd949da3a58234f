"""Messages to prompt text: Go and Jinja templates, what they can do, history cut to size. Pure: no files, no clock but the date."""
