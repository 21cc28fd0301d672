"""Who acts where several processes run: the election, by a Lease, and what it opens."""
