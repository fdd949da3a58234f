"""Sixty texts that are no digests, for every place that takes one (threat T01)."""

from __future__ import annotations

_HEX = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

BAD_DIGESTS = (
    *("sha256", "sha256:", "sha256-", ":", "-", "zzz", "nonsense", "sha256:zz", "null", "latest"),
    *(_HEX, f":{_HEX}", f"-{_HEX}", f"256:{_HEX}", f"sha256{_HEX}", f"sha256::{_HEX}", f"sha256:-{_HEX}", f"sha256_{_HEX}"),
    *(f"sha256:{_HEX[1:]}", f"sha256:{_HEX}0", f"sha256:{_HEX[:-1]}g", f"sha256:{_HEX[:32]}", f"sha256:{_HEX * 2}"),
    *(f"SHA256:{_HEX}", f"Sha256:{_HEX}", f"sha256:{_HEX.upper()}", f"sha256:{_HEX[:-1]}A", f"sha256:0x{_HEX[2:]}"),
    *(
        f"sha1:{_HEX[:40]}",
        f"sha512:{_HEX * 2}",
        f"sha384:{_HEX}{_HEX[:32]}",
        f"md5:{_HEX[:32]}",
        f"blake3:{_HEX}",
        f"sha-256:{_HEX}",
    ),
    *("..", "../..", "../../etc/passwd", "sha256:..", f"sha256:../{_HEX[3:]}", f"sha256-../../{_HEX[6:]}", f"../sha256-{_HEX}"),
    *(f"/sha256:{_HEX}", f"sha256/{_HEX}", f"sha256:{_HEX}/", f"sha256:{_HEX}/..", f"sha256:/{_HEX[1:]}", "/etc/passwd"),
    *(f"sha256:\\{_HEX[1:]}", f"sha256\\{_HEX}", f"..\\sha256-{_HEX}", f"C:\\sha256-{_HEX}", f"sha256:{_HEX}\\"),
    *(f"sha256:%2e%2e%2f{_HEX[9:]}", f"sha256%3A{_HEX}", f"sha256%2F{_HEX}", f"sha256:{_HEX}%00"),
    *(
        f"sha256:{_HEX}\n",
        f"sha256:{_HEX}\r\n",
        f"\nsha256:{_HEX}",
        f"sha256:{_HEX[:-1]}\n",
        f"sha256:{_HEX} ",
        f" sha256:{_HEX}",
    ),
    *(
        f"sha256:{_HEX[:-1]}\uff11",
        f"sha256:{_HEX[:-1]}\u0663",
        f"\uff53ha256:{_HEX}",
        f"sha256\uff1a{_HEX}",
        f"sha256:{_HEX}?x",
        f"sha256:{_HEX}#x",
    ),
    *(f"sha256:{_HEX}\t", f"sha256:{_HEX}-partial", f"sha256:{_HEX}-partial-0", f"sha256:{_HEX},{_HEX}"),
)
NUL_DIGESTS = (f"sha256:{_HEX}\0", f"sha256:{_HEX[:-1]}\0", "\0")
