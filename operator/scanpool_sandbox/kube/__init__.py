"""A Kubernetes API server to try and test the operator with, where there is no cluster.

In the manner of envtest and kwok: the API of a real cluster, in memory, with the few controllers
that make a Deployment's pods appear. Pods are simulated, or real processes of this machine.
"""

from scanpool_sandbox.kube.controllers.nodes import Node
from scanpool_sandbox.kube.emulator import KubeEmulator
from scanpool_sandbox.kube.kubelet.images import Program, Simulated

__all__ = ["KubeEmulator", "Node", "Program", "Simulated"]
