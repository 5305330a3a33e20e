"""The jobs of the lab in the pictures."""

import random
import time

from workers import job

LINES = ("reading the order", "asking the bank", "writing the receipt", "telling the customer")


@job(queue="orders", needs="payments", on_loss="hold")
def charge(order: int, amount: float, *, currency: str = "EUR") -> dict[str, object]:
    """Charge an order."""
    time.sleep(random.uniform(0.05, 0.4))  # the times in the pictures
    if order % 9 == 0:
        raise ValueError(f"card of order {order} was declined: insufficient funds")
    return {"order": order, "charged": amount, "currency": currency}


@job(queue="mail")
def send_receipt(order: int, address: str) -> str:
    """Send a receipt."""
    time.sleep(random.uniform(0.02, 0.2))  # as above
    return f"250 OK {order}"


@job(queue="images", needs="any render", on_loss="hold")
def resize(path: str, width: int, height: int) -> str:
    """Resize a picture."""
    time.sleep(0.1)  # as above
    return f"{path}@{width}x{height}"


@job(queue="reports")
def build_report(month: str) -> int:
    """Build a report, which takes a while."""
    time.sleep(600)  # it runs in every picture
    return 1


@job(queue="archive")
def archive(month: str) -> None:
    """Archive a month; no worker listens to its queue."""


@job(queue="orders", cron="*/15 * * * *")
def settle() -> None:
    """Settle the accounts."""


@job(queue="reports", cron="30 2 * * *")
def nightly_report() -> None:
    """Report the day."""
