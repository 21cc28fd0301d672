"""The Grafana dashboard, made of the metrics in code: it cannot name one that is not there."""
