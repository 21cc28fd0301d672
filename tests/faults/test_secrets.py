from faults.acts import Acts
from faults.cases import secrets


class TestSecrets(Acts):
    cases = secrets.CASES
