"""Prompt in, pieces out: runner processes, slots, KV cache, scheduler. Knows no messages, templates or HTTP."""
