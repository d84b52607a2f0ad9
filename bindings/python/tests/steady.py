"""Pays again and again; the test looks at this process from outside. steady.py SERVER CA TOKEN ACCOUNT PORT COUNT"""

import sys

import onetap
from rig import Rig

rig, count = Rig(sys.argv[1:-1]), int(sys.argv[-1])
with rig.till() as till:
    for paid in range(1, count + 1):
        with till.pay(rig.coffee()) as payment:
            assert rig.follow(payment).executed
        print(f"paid {paid} handles {onetap.open_handles()}", flush=True)
        sys.stdin.readline()
assert onetap.open_handles() == 0
