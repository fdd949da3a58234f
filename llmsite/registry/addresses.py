"""Which addresses a registry may have (threat T65): every answer of the name service is checked, then connected to as it is.

Link-local addresses and those where clouds keep secrets are never reached. A site beyond loopback reaches public addresses
only, unless its owner listed the host: whoever may pull there must not look around in the house.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, TypeAlias

from llmsite.registry.config import RegistryConfig
from llmsite.types.errors import Forbidden

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

NOT_ALLOWED: Final = "registry host not allowed"
# metadata services that stand outside 169.254.0.0/16
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
            *("fd00:ec2::254", "fd00:ec2::23", "fd00:42::42", "fd20:ce::254"),
        ),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def resolve(host: str, port: int, config: RegistryConfig) -> list[str]:
    """Addresses of a host in the order to try, as literals. Blocks. Raises `Forbidden` if one may not be reached, `OSError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no such host") from error
    literals = list(dict.fromkeys(str(answer[4][0]) for answer in found))
    is_listed = config.lists(host) or config.lists(f"{host}:{port}")
    for literal in literals:
        require_allowed(literal, config, is_listed=is_listed)
    return literals


def require_allowed(literal: str, config: RegistryConfig, *, is_listed: bool) -> None:
    """Raise `Forbidden` for an address that this site must not connect to."""
    for address in _meanings(ipaddress.ip_address(literal.partition("%")[0])):
        if address.is_link_local or address in _METADATA:
            raise Forbidden(NOT_ALLOWED)
        if config.is_exposed and not is_listed and not _is_public(address):
            raise Forbidden(NOT_ALLOWED)


def _is_public(address: Address) -> bool:
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_site_local)


def _meanings(address: Address) -> list[Address]:
    """The address, and the IPv4 address that an IPv6 one stands for; a mere mapping counts as what it maps."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    carried = [address.sixtofour, *(address.teredo or ())]
    return [address, *(each for each in carried if each is not None)]
