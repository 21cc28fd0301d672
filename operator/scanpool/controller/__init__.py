"""What runs: the handlers that kopf calls, a loop per pool, the tick."""
