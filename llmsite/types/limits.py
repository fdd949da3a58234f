"""Every bound in one dataclass. Each field can be set by `LLMSITE_LIMIT_<FIELD>` (read in `env.py`).

Names end in their unit: `_bytes`, `_seconds`; anything else is a count. A bound is added together with what it bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults fit one machine with many users; the source is threats-and-faults (e)."""

    # requests
    body_bytes: int = 64 * MIB
    form_bytes: int = 8 * MIB
    json_depth: int = 64
    json_keys: int = 100_000
    headers: int = 100
    header_bytes: int = 32 * KIB
    header_seconds: float = 10
    body_idle_seconds: float = 30
    upload_bytes: int = 200 * GIB
    requests_per_key_minute: int = 600
    requests_per_address_minute: int = 300
    """Of the REST API, from beyond this machine."""
    disk_floor_bytes: int = 2 * GIB
    stream_buffer_bytes: int = 1 * MIB
    stream_stall_seconds: float = 60
    # websockets
    socket_message_bytes: int = 256 * KIB
    socket_idle_seconds: float = 90
    sockets_per_user: int = 20
    sockets_total: int = 5_000
    socket_messages_per_second: float = 20
    socket_message_burst: int = 60
    socket_topics: int = 16
    # inspector
    inspector_memory_bytes: int = 512 * MIB
    inspector_seconds: float = 20
    inspector_processes: int = 2
    # model files
    gguf_string_bytes: int = 16 * MIB
    gguf_array: int = 64 * MIB
    gguf_dims: int = 4
    gguf_keys: int = 65_536
    gguf_tensors: int = 65_536
    gguf_metadata_bytes: int = 256 * MIB
    gguf_blocks: int = 512
    manifest_bytes: int = 4 * MIB
    manifest_layers: int = 2_048
    manifest_text: int = 1_024
    """Characters of a media type, or of the name that a layer comes from, in a manifest from elsewhere."""
    layer_text_bytes: int = 4 * MIB
    load_hash_bytes: int = 256 * MIB
    """Weights up to this size are hashed before they are loaded, if their file has changed; `llmsite check` reads larger ones."""
    modelfile_bytes: int = 1 * MIB
    partial_seconds: float = 7 * 24 * 3600
    quantize_memory_bytes: int = 1 * GIB
    """Beside the source file, which is mapped."""
    # registries
    pull_connect_seconds: float = 10
    pull_first_byte_seconds: float = 60
    pull_idle_seconds: float = 30
    pull_rate_seconds: float = 60
    pull_rate_bytes: int = 60 * KIB
    """Fewer bytes of a body than these in `pull_rate_seconds` count as a stall, in either direction."""
    pull_redirects: int = 5
    pull_retries: int = 6
    pull_attempts: int = 100
    pull_backoff_seconds: float = 1
    pull_wait_seconds: float = 60
    """The longest that a registry's `Retry-After` is obeyed at once."""
    pull_connections: int = 4
    pull_part_bytes: int = 16 * MIB
    pull_record_bytes: int = 1 * MIB
    push_part_bytes: int = 100_000_000
    push_uploads: int = 64
    """Blobs that may be on their way into this site's `/v2/` at once."""
    push_idle_seconds: float = 3600
    registry_reply_bytes: int = 64 * KIB
    registry_reply_seconds: float = 120
    """In which the whole body of a manifest, a token or a list of files must come."""
    registry_error_chars: int = 200
    preview_seconds: float = 10
    """For a registry to say what a name means, while somebody waits at the page."""
    previews: int = 4
    # templates
    template_bytes: int = 256 * KIB
    template_steps: int = 200_000
    template_output_bytes: int = 8 * MIB
    template_depth: int = 100
    template_seconds: float = 2
    # inference
    prompt_bytes: int = 8 * MIB
    messages: int = 10_000
    tools: int = 256
    stop_strings: int = 64
    stop_string_chars: int = 256
    queue_per_user: int = 32
    generation_seconds: float = 30 * 60
    stall_seconds: float = 120
    frame_up_bytes: int = 4 * MIB
    frame_down_bytes: int = 64 * MIB
    runner_starts: int = 3
    prefix_cache_bytes: int = 0
    """Host memory for saved prefixes; 0 takes an eighth of the machine's memory, at most 8 GiB."""
    # jobs
    job_lease_seconds: float = 60
    job_beat_seconds: float = 15
    job_sweep_seconds: float = 5
    job_starts: int = 3
    """Starts of a job without any progress between them; then it is given up."""
    jobs_kept: int = 200
    pulls: int = 2
    pulls_queued: int = 20
    creates: int = 2
    creates_queued: int = 20
    # people
    message_chars: int = 1_000_000
    conversations_per_user: int = 100_000
    messages_per_conversation: int = 20_000
    owner_link_seconds: float = 15 * 60
    sign_in_tries: int = 10
    keys_per_user: int = 50
    shutdown_seconds: float = 20

    def finite(self) -> Limits:
        """The same bounds with a large number for `unlimited`, which JSON cannot say."""
        endless: dict[str, Any] = {each.name: 1e9 for each in fields(self) if getattr(self, each.name) == math.inf}
        return replace(self, **endless)
