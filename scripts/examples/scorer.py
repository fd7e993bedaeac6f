"""Scores customer records; called from the C++ program score_records.cc."""


def score(record, weight=1.0):
    """How likely this customer is to come back, from 0 to 1."""
    orders = record["orders"]
    if not orders:
        return 0.0
    recent = sum(1 for order in orders if order["days_ago"] <= 90)
    return min(1.0, weight * recent / len(orders) * (1 - 0.5 ** len(orders)))
