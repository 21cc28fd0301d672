"""What people see of a pool: status, conditions, metrics, words."""
