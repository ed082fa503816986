from shop.rules.vat import gross


def total(nets):
    return sum(map(gross, nets))
