"""The kubelets: pods as real local processes or as simulated ones."""
