"""Prompts of models whose config names a RENDERER instead of bringing a template: one module a family (catalogue 5.1, rule 1)."""
