"""``python -m odibi.testing.zoo [FAMILY...]``: how many of the defects the suites refuse, a line a family."""

from __future__ import annotations

import argparse
import json
import os
import sys

from odibi.testing.zoo import SOUND, families, zoo_of
from odibi.testing.zoo._trial import Trial, trials

_JOBS = 3 * (os.cpu_count() or 1)
"""More than there are processors: what is broken often hangs, and its suite then waits until it has waited enough."""


def main() -> int:
    """Run it; 1 if a defect that should be seen is not, or if a sound component is refused."""
    parser = argparse.ArgumentParser(prog="python -m odibi.testing.zoo", description=__doc__)
    parser.add_argument("family", nargs="*", help="only these; all if none is given")
    parser.add_argument("--jobs", type=int, default=_JOBS, help="suites at once (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="say of each defect how it went, as it goes")
    parser.add_argument("--json", action="store_true", help="print JSON, with the test that refused each defect")
    given = parser.parse_args()
    names = given.family or families()
    specimens = [f"{family}.{name}" for family in names for name in (SOUND, *zoo_of(family).defects)]
    done: dict[str, Trial] = {}
    for each in trials(specimens, given.jobs):
        done[each.specimen] = each
        if given.verbose:
            said = f"refused by {each.by or 'its own slowness'}" if each.refused else f"accepted by {each.passed}"
            print(f"{len(done)} of {len(specimens)}  {each.specimen}  {each.seconds:.1f} s  {said}", file=sys.stderr)
    print(json.dumps(_table(names, done), indent=2) if given.json else _text(names, done))
    return 1 if any(row["survived"] or row["sound_is_refused_by"] for row in _table(names, done)) else 0


def _table(names: list[str], done: dict[str, Trial]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for family in names:
        defects = zoo_of(family).defects.values()
        refused = {each.name: done[f"{family}.{each.name}"] for each in defects}
        rows.append(
            {
                "family": family,
                "defects": len(refused),
                "refused": sum(each.refused for each in refused.values()),
                "refused_by": {name: each.by or "(it hung)" for name, each in refused.items() if each.refused},
                "survived": [e.name for e in defects if not refused[e.name].refused and not e.argued],
                "argued": {e.name: e.argued for e in defects if not refused[e.name].refused and e.argued},
                "sound_is_refused_by": done[f"{family}.{SOUND}"].by,
                "sound_passes": done[f"{family}.{SOUND}"].passed,
            }
        )
    return rows


def _text(names: list[str], done: dict[str, Trial]) -> str:
    lines = []
    for row in _table(names, done):
        refused, defects = row["refused"], row["defects"]
        assert isinstance(refused, int)
        assert isinstance(defects, int)
        lines.append(f"{row['family']:12} {refused:3} of {defects:3} refused  {refused / max(defects, 1):6.1%}")
        survived, argued = row["survived"], row["argued"]
        assert isinstance(survived, list)
        assert isinstance(argued, dict)
        lines += [f"    not seen: {name}: {zoo_of(str(row['family'])).defects[name].what}" for name in survived]
        lines += [f"    argued:   {name}: {why}" for name, why in argued.items()]
        if row["sound_is_refused_by"]:
            lines.append(f"    the sound one is refused by {row['sound_is_refused_by']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
