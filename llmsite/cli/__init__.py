"""The command line: `llmsite VERB`. It speaks REST to a running server and starts without Django."""
