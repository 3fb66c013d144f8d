"""What the choice of a transport says of arguments that it does not use."""

from __future__ import annotations

import pytest

from otel_parsl.submit.transport import Network, Transport

CHANNEL = Network(has_channel=True, is_encrypted=False, addresses=("10.0.0.7",))
ENCRYPTED = CHANNEL._replace(is_encrypted=True)


@pytest.mark.parametrize(
    ("address", "port", "network", "said"),
    [
        (None, 55055, CHANNEL, ["executor htex: hub_port is not used without hub_address"]),
        ("10.0.0.7", 55055, ENCRYPTED, ["executor htex: hub_address is not used"]),
        (None, None, CHANNEL, []),
        (None, None, ENCRYPTED, []),
    ],
)
def test_argument_that_is_not_used_is_said(
    address: str | None,
    port: int | None,
    network: Network,
    said: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """News come by the executor's own channel, and what was asked for without effect is told."""
    assert Transport("auto", address, port).receiver_for("htex", network) is None
    assert [each.getMessage().partition(":")[0] for each in caplog.records] == [
        each.partition(":")[0] for each in said
    ]
    assert all(each in caplog.text for each in said)
