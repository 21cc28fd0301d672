"""What a server wants to be sent or shown with a request before it answers."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from scanpool.models.base import Model, Rule
from scanpool.models.fields import SecretKeyRef

_OWN_HEADERS = "^(?i:content-.*|transfer-encoding|connection)$"
"""Headers that a request needs for itself."""


class Header(Model):
    """A header, such as X-Scope-OrgID with a tenant's name."""

    name: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
    value: Annotated[str, Field(max_length=1024, pattern=r"^[!-~]([ -~]*[!-~])?$")] | None = None
    value_secret_ref: SecretKeyRef | None = None
    """A Secret that holds the value, instead of it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.value) != has(self.valueSecretRef)",
            "set exactly one of value and valueSecretRef",
            lambda m: (m.value is None) != (m.value_secret_ref is None),
        ),
        Rule(
            f"!self.name.matches('{_OWN_HEADERS}')",
            "the request sets this header itself: leave it out",
            lambda m: re.search(_OWN_HEADERS, m.name) is None,
        ),
    )


class Parameter(Model):
    """A parameter of a URL, such as namespace or extra_label."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str, Field(max_length=1024)]


class BasicAuth(Model):
    """A user and a password, in Secrets such as those of type kubernetes.io/basic-auth."""

    username_secret_ref: SecretKeyRef
    password_secret_ref: SecretKeyRef


class ClientCertificate(Model):
    """What the operator shows to a broker that asks for a certificate (mTLS), as PEM.

    A Secret of type kubernetes.io/tls has the two under tls.crt and tls.key.
    """

    cert_secret_ref: SecretKeyRef
    """The certificate, with its chain."""
    key_secret_ref: SecretKeyRef
    """Its private key."""
    key_password_secret_ref: SecretKeyRef | None = None
    """The password of an encrypted key."""
