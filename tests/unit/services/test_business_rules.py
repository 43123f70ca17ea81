"""The rules of the world that ships with Lockgate, called as plain functions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lockgate import Context, Reject
from schemas import common, orders, payments, shipping
from services.orders.book import Book
from services.payments import handlers as paying
from services.payments.gateway import BROKEN, FLAKY, GatewayUnavailable, SimulatedGateway
from services.shipping import handlers as shipments
from services.storefront.demo import SHARES
from services.storefront.seed import story
from services.storefront.shop import purchases, sum_of

NOW = datetime(2025, 1, 10, tzinfo=UTC)


def context(attempt: int = 1) -> Context:
    return Context("workload", "orders", 0, 0, b"o-1", (), 0, attempt)


def placed(amount: str = "10.00", currency: str = "EUR", order_id: str = "o-1") -> orders.OrderPlaced:
    total = common.Money(amount=Decimal(amount), currency=currency)
    return orders.OrderPlaced(order_id=order_id, customer_id="c-1", lines=[], total=total, placed_at=NOW)


@pytest.fixture
def reliable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "gateway", SimulatedGateway(flaky=0, broken=0))


@pytest.mark.usefixtures("reliable")
def test_an_order_within_the_limit_is_authorized() -> None:
    payment = paying.authorize(placed("5000.00"), context())
    assert isinstance(payment, payments.PaymentAuthorized)
    assert (payment.order_id, payment.amount.amount) == ("o-1", Decimal("5000.00"))


@pytest.mark.usefixtures("reliable")
def test_an_order_over_the_limit_is_declined() -> None:
    payment = paying.authorize(placed("5000.01"), context())
    assert isinstance(payment, payments.PaymentDeclined)
    assert payment.reason is payments.DeclineReason.OVER_LIMIT


def test_an_order_of_an_unknown_currency_is_rejected() -> None:
    with pytest.raises(Reject, match="unknown currency 'XTS'"):
        paying.authorize(placed(currency="XTS"), context())


def test_a_gateway_that_does_not_answer_is_left_to_the_retry_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "gateway", SimulatedGateway(broken=1))
    with pytest.raises(GatewayUnavailable):
        paying.authorize(placed(), context())


def test_the_gateway_fails_in_the_shares_that_it_says_and_the_same_way_each_time() -> None:
    def answers() -> list[bool]:
        gateway = SimulatedGateway()
        found = []
        for number in range(20_000):
            try:
                gateway.authorize(f"o-{number}", Decimal(1), attempt=1)
                found.append(True)
            except GatewayUnavailable:
                found.append(False)
        return found

    first = answers()
    assert first == answers()
    assert first.count(False) / len(first) == pytest.approx(FLAKY + BROKEN, abs=0.01)


def test_an_order_that_failed_once_mostly_succeeds_at_its_next_attempt() -> None:
    gateway = SimulatedGateway(broken=0)

    def fails(number: int, attempt: int) -> bool:
        try:
            gateway.authorize(f"o-{number}", Decimal(1), attempt=attempt)
        except GatewayUnavailable:
            return True
        return False

    failed = [number for number in range(5000) if fails(number, 1)]
    assert sum(fails(number, 2) for number in failed) < len(failed) / 4


def test_a_second_call_is_no_second_payment() -> None:
    gateway = SimulatedGateway(flaky=0, broken=0)
    first, second = (gateway.authorize("o-1", Decimal(1), attempt=attempt) for attempt in (1, 2))
    assert first == second


def test_payments_are_counted_by_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for counter in (paying.authorized, paying.declined):
        counter.clear()
    money = common.Money(amount=Decimal("1.00"), currency="CHF")
    paying.record(payments.PaymentAuthorized(payment_id="p", order_id="o", amount=money, authorized_at=NOW), context())
    paying.record(payments.PaymentDeclined(order_id="o", amount=money, declined_at=NOW), context())
    assert (paying.authorized, paying.declined) == ({"CHF": 1}, {"UNKNOWN": 1})


def test_the_same_payment_ships_the_same_shipment() -> None:
    money = common.Money(amount=Decimal("1.00"), currency="CHF")
    payment = payments.PaymentAuthorized(payment_id="p", order_id="o", amount=money, authorized_at=NOW)
    first, second = (shipments.dispatch(payment, context()) for _ in range(2))
    assert (first.shipment_id, first.carrier, first.order_id) == (second.shipment_id, second.carrier, "o")


def test_a_shipment_is_under_way_until_it_is_delivered() -> None:
    shipments.under_way.clear()
    left = shipping.ShipmentDispatched(shipment_id="s", order_id="o", carrier="Fleet", dispatched_at=NOW)
    arrived = shipping.ShipmentDelivered(shipment_id="s", order_id="o", delivered_at=NOW)
    shipments.track(left, context())
    assert shipments.under_way == {"s"}
    shipments.track(arrived, context())
    assert not shipments.under_way


def test_an_order_is_entered_once_however_often_it_arrives() -> None:
    book = Book()
    assert book.enter(placed())
    assert not book.enter(placed())
    assert book.open == 1


def test_an_order_that_was_cancelled_before_it_arrived_stays_closed() -> None:
    book = Book()
    book.close("o-1")
    assert not book.enter(placed())
    assert book.open == 0


def test_the_shop_makes_the_troubles_that_it_states() -> None:
    made = list(purchases(1000, seed="s", shares=SHARES))
    assert sum(purchase.order.total.amount > paying.LIMIT for purchase in made) == 50
    assert sum(purchase.order.total.currency not in paying.CURRENCIES for purchase in made) == 10
    assert sum(purchase.cancellation is not None for purchase in made) == 25
    assert sum(purchase.withdrawn for purchase in made) == 10
    assert len({purchase.order.order_id for purchase in made}) == 1000


def test_an_order_costs_what_its_lines_cost() -> None:
    for purchase in purchases(50, seed="s", shares=SHARES):
        assert purchase.order.total.amount == sum_of(purchase.order.lines) > 0


def test_the_same_seed_makes_the_same_orders() -> None:
    first, second = ([purchase.order.lines for purchase in purchases(20, seed="s")] for _ in range(2))
    assert first == second


def test_finished_business_tells_one_order_in_all_three_domains() -> None:
    events = story(next(purchases(1, seed="s")))
    assert [type(event).__avro_name__ for event in events] == [
        "orders.OrderPlaced",
        "payments.PaymentAuthorized",
        "shipping.ShipmentDispatched",
        "shipping.ShipmentDelivered",
    ]
    assert len({event.order_id for event in events}) == 1
