"""The storefront: places orders. `python -m services.storefront --orders 100`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from lockgate import LockgateError, Producer
from services.storefront import baskets


@click.command()
@click.option("--orders", "count", type=click.IntRange(1), default=100, show_default=True, help="How many to place.")
@click.option("--seed", default="order", show_default=True, help="Begins every order's id.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what was sent as JSON to this file.")
def main(count: int, seed: str, report: Path | None) -> None:
    """Place orders, a stated share of them troublesome."""
    sent: Counter[str] = Counter()
    try:
        with Producer("storefront") as producer:
            for event in baskets.cancellations(baskets.place(count, seed)):
                producer.send(event)
                sent[event.__avro_name__] += 1
    except LockgateError as error:
        raise click.ClickException(f"{error}" + (f"\n  next: {error.next_step}" if error.next_step else "")) from error
    if report is not None:
        report.write_text(json.dumps({"sent": sent}), encoding="utf-8")
    click.echo(f"{sum(sent.values())} events sent and acknowledged", err=True)


if __name__ == "__main__":
    main()
