"""Where a machine enrols."""

from __future__ import annotations

import pytest

from sync.identity.hub_line import hub_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://hub.club", "https://hub.club"),
        (" https://hub.club:8443/ ", "https://hub.club:8443"),
        ("https://[fe80::1]:8443", "https://[fe80::1]:8443"),
    ],
)
def test_an_address_is_the_hubs_name_over_tls(text: str, address: str) -> None:
    assert hub_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hub.club",
        "http://hub.club",
        "https://",
        "https://hub/api",
        "https://u:p@hub",
        "https://h?x=1",
        "https://[",
    ],
)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected https://|Invalid IPv6"):
        hub_address(text)
