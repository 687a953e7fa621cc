from odibi.registry import transform


@transform
def add_tax(context, current, rate=0.1):
    return current


@transform("tidy")
def tidy_up(context, current, **params):
    return current


def make_calendar(year: int = 2013):
    return [year]


def join_up(left, right, how="inner"):
    return left
