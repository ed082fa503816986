def apply_discount(total, percent):
    """The total, lowered by so many percent."""
    return total - total * percent
