"""Models on disk, addressed by digest: blobs, manifests, GGUF headers. Knows no database and runs no model."""
