"""llmsite: large language models on your own machine, for everybody in the house. This module holds the version only."""

__version__ = "0.1.0"
