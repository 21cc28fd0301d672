"""Stand-ins to try and test scanpool with no cluster and no OpenAI account.

RabbitMQ and Prometheus are never faked: the sandbox starts the real servers. The Kubernetes API,
the nodes, the LLM provider, the workers and the users are small and honest emulations.
"""
