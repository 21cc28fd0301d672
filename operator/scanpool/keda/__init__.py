"""KEDA's external scaler: what a pool may have, for a ScaledObject that is capped by it."""
