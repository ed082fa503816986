from account import Account

for name in ("deposit", "withdraw"):
    for amount in (0, -5):
        account = Account(10)
        try:
            getattr(account, name)(amount)
        except ValueError:
            assert account.balance == 10, f"{name}({amount}) changed the balance"
        else:
            raise AssertionError(f"{name}({amount}) raised nothing")
account = Account(10)
account.deposit(5)
account.withdraw(3)
assert account.balance == 12, "deposit() and withdraw() do not work any more"
