"""Why a transfer failed, in a sentence for the person who reads the page; what the other side said stays beside it.

The texts that are looked for are those of the registry library, which REST sends as they are: Ollama's clients know them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from llmsite.types.errors import LlmsiteError, from_wire


@dataclass(frozen=True, slots=True)
class Failure:
    """`sentence` says what is wrong and what helps; `detail` is the text as it came, empty when the sentence is that text.

    `missing_bytes`: how much the disk lacks, if that is why.
    """

    sentence: str
    detail: str = ""
    missing_bytes: int = 0


def explain(error: LlmsiteError, host: str) -> Failure:
    """What a person at the page is told of an error that a transfer with `host` ended with, in the active language."""
    text = str(error)
    if found := _MISSING_BYTES.search(text):
        return Failure(_("There is not enough room on the disk of the models."), text, int(found[1]))
    for pattern, say in _SENTENCES:
        if found := pattern.search(text):
            return Failure(say() % ({"host": host} | found.groupdict()), text)
    return Failure(text)


def explain_wire(error_class: str, text: str, host: str) -> Failure:
    """The same of an error that a row keeps."""
    return explain(from_wire(error_class, text), host)


_MISSING_BYTES: Final = re.compile(r"not enough space in the model store: (\d+) more bytes")

_SENTENCES: Final[tuple[tuple[re.Pattern[str], Callable[[], str]], ...]] = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), say)
    for pattern, say in (
        # the first that fits counts
        (r"connection refused", lambda: _("Nothing answers at %(host)s. Check the name, and that the registry is running.")),
        (r"no such host", lambda: _("No address is known for %(host)s. Check the name and this machine's connection.")),
        (r"network is unreachable|no route to host", lambda: _("This machine finds no way to %(host)s. Check its connection.")),
        (
            r"would be asked without encryption",
            lambda: _("%(host)s would be asked without encryption. Put http:// before the name if that is meant."),
        ),
        (r"tls: first record", lambda: _("%(host)s does not encrypt. Put http:// before the name if that is meant.")),
        (r"tls: failed to verify certificate", lambda: _("The certificate of %(host)s is not one that this machine trusts.")),
        (
            r"not allowed",
            lambda: _("This site may not ask %(host)s. Its owner can allow it with LLMSITE_REGISTRY_ALLOW."),
        ),
        (
            r"is gated",
            lambda: _(
                "This repository wants its terms accepted. Accept them on its page, then give this site your token in HF_TOKEN."
            ),
        ),
        (
            r"the repository has no (?P<tag>\S+); it has (?P<known>.+)",
            lambda: _("The repository has no %(tag)s. It has: %(known)s."),
        ),
        (r"has no GGUF files", lambda: _("The repository has no GGUF files, and only those run here.")),
        (
            r"file does not exist|not the name of a repository",
            lambda: _("%(host)s has no model of this name. Check its spelling and its tag."),
        ),
        (
            r"unauthorized|access denied|\b40[13]:|key kept for",
            lambda: _("%(host)s refuses access. “llmsite login %(host)s” gives this site a key for it."),
        ),
        (r"\b429:", lambda: _("%(host)s has had too many requests. Try again in a while.")),
        (r"\b5\d\d:", lambda: _("%(host)s has trouble of its own. Try again in a while.")),
        (
            r"digest mismatch",
            lambda: _("What arrived is not what %(host)s announced, also at the second try. None of it was kept."),
        ),
        (r"timeout|timed out", lambda: _("%(host)s does not answer in time. Try again.")),
        (
            r"\bEOF\b|connection reset|broken pipe|malformed HTTP",
            lambda: _("%(host)s closed the connection. Try again."),
        ),
        (
            r"disk of the model store is full",
            lambda: _("The disk of the models is full. Remove models or free space, then try again."),
        ),
        (r"invalid manifest", lambda: _("What %(host)s has under this name is no model that can be installed here.")),
        (r"requires MLX", lambda: _("This model is made for Apple's MLX only, which does not run here.")),
        (r"model is being removed", lambda: _("The model was deleted meanwhile.")),
        (r"internal error", lambda: _("Something went wrong here. The server's log has the reason under the number below.")),
    )
)
