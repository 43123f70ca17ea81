"""What the shipped services do with records, on the real loop in this process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from lockgate.testing import Kit
from schemas import common, orders, payments, shipping
from services.payments import handlers as paying
from services.payments.gateway import SimulatedGateway


def placed(amount: str, currency: str = "EUR") -> orders.OrderPlaced:
    total = common.Money(amount=Decimal(amount), currency=currency)
    at = datetime(2025, 1, 10, tzinfo=UTC)
    return orders.OrderPlaced(order_id="o-1", customer_id="c-1", lines=[], total=total, placed_at=at)


@pytest.fixture(autouse=True)
def reliable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "gateway", SimulatedGateway(flaky=0, broken=0))


def test_a_large_order_is_declined(kit: Kit) -> None:
    kit.send(placed("5000.01"))
    (result,) = kit.run("payments-service.orders").results
    assert isinstance(result, payments.PaymentDeclined)
    assert result.reason is payments.DeclineReason.OVER_LIMIT


def test_an_order_is_paid_and_shipped(kit: Kit) -> None:
    kit.send(placed("10.00"))
    assert kit.run("orders-service").handled == 1
    kit.run("payments-service.orders")
    assert kit.run("payments-service").handled == 1
    (shipment,) = kit.run("shipping-service.payments").results
    assert isinstance(shipment, shipping.ShipmentDispatched)
    assert shipment.order_id == "o-1"
    assert kit.run("shipping-service").handled == 1


def test_a_declined_payment_ships_nothing(kit: Kit) -> None:
    kit.send(placed("5000.01"))
    kit.run("payments-service.orders")
    outcome = kit.run("shipping-service.payments")
    assert (outcome.skipped, outcome.results) == (1, [])


def test_an_order_in_an_unknown_currency_is_dead_lettered(kit: Kit) -> None:
    kit.send(placed("10.00", "XTS"))
    (letter,) = kit.run("payments-service.orders").dead_letters
    assert (letter.reason, letter.error) == ("reject", "unknown currency 'XTS'")


def test_a_gateway_that_is_away_is_asked_again_when_the_retry_is_due(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "gateway", SimulatedGateway(broken=1))
    kit.send(placed("10.00"))
    (retry,) = kit.run("payments-service.orders").retries
    assert (retry.tier, retry.delay) == (1, timedelta(seconds=1))
    monkeypatch.setattr(paying, "gateway", SimulatedGateway(flaky=0, broken=0))
    assert kit.run("payments-service.orders").results == []  # not due yet
    kit.advance(seconds=1)
    (result,) = kit.run("payments-service.orders").results
    assert isinstance(result, payments.PaymentAuthorized)


def test_records_that_nobody_can_read_stop_nothing(kit: Kit) -> None:
    kit.send_poison("truncated", orders.OrderPlaced)
    kit.send_poison("key-mismatch", orders.OrderCancelled)
    kit.send(placed("10.00"))
    outcome = kit.run("orders-service")
    assert sorted(letter.reason for letter in outcome.dead_letters) == ["key-mismatch", "truncated"]
    assert outcome.handled == 1
