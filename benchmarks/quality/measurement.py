"""How often amplitude and intensity are told apart, over thousands of generated cases.

    python benchmarks/quality/measurement.py [N_CASES] [FIRST_SEED]

Families: counts that were only scaled, binned, masked; counts with corrections that leave no whole multiples; and
intensities without noise. Each is asked for without a convention, and under the contract's ("expected" amplitude).
"""

import logging
import sys
from collections import Counter

from ptychofold.errors import DomainError
from ptychofold.measurement import decide_measurement
from ptychofold.testing.measurements import make_case

FAMILIES = {
    "scaled counts": {"corrected": False, "noisy": True},
    "corrected counts": {"corrected": True, "noisy": True},
    "without noise": {"corrected": False, "noisy": False},
    "rounded": {"rounded": True},
    "rounded, without noise": {"rounded": True, "noisy": False},
}


def main() -> None:
    n_cases = int(sys.argv[1]) if len(sys.argv) > 1 else 2400
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.getLogger("ptychofold.measurement").setLevel(logging.ERROR)
    print(
        "| family | convention | cases | right | wrong | refused | right among decided |\n|---|---|---|---|---|---|---|"
    )
    for family, options in FAMILIES.items():
        n = n_cases if family == "scaled counts" else n_cases // 4
        cases = [make_case(seed, **options) for seed in range(first, first + n)]
        for expected in (None, "amplitude"):
            outcome: Counter[str] = Counter()
            for seed, case in enumerate(cases, first):
                try:
                    found, reason = decide_measurement(case.patterns, expected=expected)
                except DomainError:
                    outcome["refused"] += 1
                    outcome[f"refused {case.measurement}"] += 1
                    continue
                right = found == case.measurement
                outcome["right" if right else "wrong"] += 1
                if not right:
                    print(f"wrong: seed {seed}, {family}, {case.measurement}, {case.dose:.2g}, {case.done}: {reason}")
            decided = outcome["right"] + outcome["wrong"]
            share = f"{outcome['right'] / decided:.2%}" if decided else "none decided"
            refused = f"{outcome['refused'] / n:.1%} ({outcome['refused amplitude']} amplitude)"
            print(
                f"| {family} | {expected} | {n} | {outcome['right']} | {outcome['wrong']} | {refused} | {share} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
