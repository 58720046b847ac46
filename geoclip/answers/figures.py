"""Numbers in words, as sentences, terminals and maps show them."""

import math


def percent(share: float) -> str:
    """Return a probability in percent: whole, or with one decimal below one percent."""
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.00995 else f"{100 * share:.0f} %"


def distance(km: float) -> str:
    """Return a distance as people say it: metres below one kilometre, at most three digits that count."""
    if km < 0.9995:
        return f"{float(f'{1000 * km:.2g}'):.0f} m"
    return f"{km:.1f} km" if km < 9.95 else f"{float(f'{km:.3g}'):,.0f} km"


def coordinates(lat: float, lng: float, radius_km: float) -> str:
    """Return a place as exactly as it is known: digits below a tenth of the radius are left out; NaN leaves out none.

    A tenth of a degree for a country's guess, two decimals for a city's, five at most.
    """
    decimals = 5
    if math.isfinite(radius_km):
        decimals = min(max(round(2 - math.log10(max(radius_km, 1e-6) / 10)), 1), 5)
    return f"{lat:.{decimals}f}, {lng:.{decimals}f}"


def listed(parts: list[str], last: str = "or") -> str:
    """Return "a", "a or b", "a, b or c"."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
