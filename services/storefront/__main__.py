"""Place orders: `python -m services.storefront --orders N`."""

from __future__ import annotations

import secrets
import time

import click

from lockgate import LockgateError, Producer
from services.storefront.shop import purchases


@click.command()
@click.option("--orders", "count", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="At most so many a second; 0: no bound.")
@click.option("--seed", help="What order ids begin with; default: random.")
def main(count: int, rate: float, seed: str | None) -> None:
    """Place orders as the workload `storefront`, and say how many the brokers have."""
    seed = seed or secrets.token_hex(4)
    begun = time.monotonic()
    try:
        with Producer("storefront") as producer:
            for number, purchase in enumerate(purchases(count, seed=seed)):
                if rate > 0:
                    time.sleep(max(0.0, begun + number / rate - time.monotonic()))
                producer.send(purchase.order)
    except LockgateError as error:
        raise click.ClickException("\n  next: ".join(filter(None, (error.message, error.next_step)))) from error
    click.echo(f"{count} orders placed, {seed}-000001 and following")


if __name__ == "__main__":
    main()
