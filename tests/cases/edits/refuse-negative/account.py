"""An account."""


class Account:
    def __init__(self, balance: int = 0) -> None:
        self.balance = balance

    def deposit(self, amount: int) -> None:
        _require_positive(amount)
        self.balance += amount

    def withdraw(self, amount: int) -> None:
        _require_positive(amount)
        self.balance -= amount


def _require_positive(amount: int) -> None:
    if amount <= 0:
        raise ValueError(f"{amount} is no amount that can be moved")
