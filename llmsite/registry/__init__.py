"""Models from elsewhere and to elsewhere: the two protocols, the transfers and the one HTTP client that carries them.

`pull.py` and `push.py` are the steps that jobs call; below them `ollama.py` and `huggingface.py` speak with registries,
`transfer.py` and `upload.py` move blobs, and everything that leaves this machine goes through `outbound.py`.
"""
