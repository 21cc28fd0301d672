"""A trigger's broker: by which protocol, at which URL, and in which vhost it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from scanpool.convert import parameters
from scanpool.convert.documents import Given
from scanpool.convert.keda import ScaledObject, Trigger
from scanpool.convert.notes import Notes, Path, RefusedError, shown
from scanpool.convert.parameters import NO_IDENTITY, Parameter
from scanpool.convert.queues import RABBITMQ, is_on
from scanpool.models.fields import SecretKeyRef

VHOST: Path = ("spec", "rabbitmq", "vhost")
CA: Path = ("spec", "rabbitmq", "caSecretRef")
CERTIFICATE: Path = ("spec", "rabbitmq", "clientCertificate")
TOKENS = frozenset(
    {"workloadIdentityResource", "oauthTokenURI", "clientID", "clientSecret", "scopes"}
)
"""Parameters of a trigger that fetches a token instead of having a password."""
CLIENT_CERTIFICATE = {
    "cert": "certSecretRef", "key": "keySecretRef", "keyPassword": "keyPasswordSecretRef",
}  # fmt: skip
"""Parameters of a trigger that shows a certificate, and the pool's fields."""
KNOWN_METADATA = frozenset(
    {"host", "hostFromEnv", "protocol", "mode", "value", "activationValue", "queueName",
     "vhostName", "queueLength", "useRegex", "pageSize", "operation", "timeout",
     "excludeUnacknowledged", "unsafeSsl", "usernameFromEnv", "passwordFromEnv"}
)  # fmt: skip
"""Parameters of the RabbitMQ trigger, as of KEDA 2.20."""


class Protocol(StrEnum):
    """How the broker is read."""

    HTTP = "http"
    AMQP = "amqp"


FIELDS = {Protocol.HTTP: "managementUrlSecretRef", Protocol.AMQP: "urlSecretRef"}
"""The pool's field for the URL."""
NEW_KEYS = {Protocol.HTTP: "managementUrl", Protocol.AMQP: "url"}
"""Keys of a Secret that is still to be made."""
SCHEMES = {"http": Protocol.HTTP, "https": Protocol.HTTP} | {
    "amqp": Protocol.AMQP, "amqps": Protocol.AMQP,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a trigger reads. Two triggers with the same `place` read the same vhost there."""

    protocol: Protocol
    url: SecretKeyRef
    vhost: str | None
    ca: SecretKeyRef | None
    certificate: Mapping[str, SecretKeyRef]
    place: tuple[object, ...] = field(repr=False)


def broker(
    trigger: Trigger, where: str, scaled: ScaledObject, given: Given, notes: Notes
) -> Broker:
    """Return the broker of a RabbitMQ trigger.

    Raises:
        RefusedError: if the files do not tell it.

    """
    told = parameters.of(trigger, where, scaled, given)
    host = _host(trigger, where, scaled, given, told.by_name)
    protocol = _protocol(trigger, where, host, told.by_name)
    url = _url(trigger, host, protocol, scaled, told, notes)
    vhost = _vhost(trigger, where, host, protocol, told.by_name, notes)
    _ignored(trigger, where, told.by_name, notes)
    ca = _ca(trigger, where, told.by_name, notes)
    identity = host.text if host.ref is None else None
    certificate = _certificate(where, told.by_name, notes)
    return Broker(protocol, url, vhost, ca, certificate, (url, identity, vhost))


def _host(
    trigger: Trigger,
    where: str,
    scaled: ScaledObject,
    given: Given,
    told: Mapping[str, Parameter],
) -> Parameter:
    """Return the URL, looked for in the order in which KEDA does."""
    metadata = trigger.metadata
    if "host" in metadata:
        text = metadata["host"]
        hosts = [one.metadata.get("host") for one in scaled.spec.triggers]
        # The first that has it: one Secret is then asked for once.
        return Parameter(f"triggers[{hosts.index(text)}].metadata.host", text=text)
    if "host" in told:
        return told["host"]
    if "hostFromEnv" in metadata:
        return parameters.from_environment(metadata["hostFromEnv"], None, scaled, given)
    raise RefusedError(
        f"{where} has no host: neither its metadata, nor hostFromEnv, nor an authenticationRef "
        "names one"
    )


def _protocol(
    trigger: Trigger, where: str, host: Parameter, told: Mapping[str, Parameter]
) -> Protocol:
    protocol: str | None = trigger.metadata.get("protocol")
    if protocol is None and "protocol" in told:
        protocol = told["protocol"].text
        if protocol is None:
            raise RefusedError(
                f"{where} has its protocol in {told['protocol'].origin}: add that with -f, or "
                "write protocol into the trigger"
            )
    if protocol in (None, "auto"):
        if host.text is None:
            raise RefusedError(
                f"{where} has protocol auto, which depends on the URL in {host.origin}: add that "
                "with -f, or write protocol http or amqp into the trigger"
            )
        scheme = urlsplit(host.text).scheme if _is_url(host.text) else ""
        if scheme not in SCHEMES:
            raise RefusedError(
                f"{where}: the URL in {host.origin} begins with none of {', '.join(SCHEMES)}"
            )
        return SCHEMES[scheme]
    if protocol not in set(Protocol):
        # The word itself may come out of a Secret.
        raise RefusedError(f"{where}: the protocol is neither http, amqp nor auto")
    return Protocol(protocol)


def _url(
    trigger: Trigger,
    host: Parameter,
    protocol: Protocol,
    scaled: ScaledObject,
    told: parameters.Parameters,
    notes: Notes,
) -> SecretKeyRef:
    """Return the Secret that holds the URL, and say what to put into it where it is a new one."""
    path, name = (*RABBITMQ, FIELDS[protocol]), scaled.metadata.name
    place = scaled.metadata.place
    new = parameters.secret_key(f"{name}-rabbitmq", NEW_KEYS[protocol])
    separate = {"usernameFromEnv", "passwordFromEnv"} & trigger.metadata.keys()
    separate |= {"username", "password"} & told.by_name.keys()
    missing = f"make Secret {new.name}, key {new.key}, in {place}: "
    if told.identity != NO_IDENTITY or TOKENS & told.by_name.keys():
        notes.ask(
            path,
            f"{missing}the URL of {host.origin} with a user name and password. The trigger gets a "
            "token by itself, and a pool takes one from rabbitmq.tokenSecretRef, where something "
            "else has to renew it",
        )
        return new
    if separate:
        notes.ask(
            path,
            f"{missing}the URL of {host.origin} with user name and password in it, "
            f"percent-encoded: a pool takes them from the URL, the trigger from "
            f"{' and '.join(sorted(separate))}",
        )
        return new
    if host.ref is None:
        notes.ask(path, f"{missing}the URL of {host.origin}. A pool takes it from a Secret only")
        return new
    if host.is_elsewhere:
        notes.ask(
            path,
            f"copy key {host.ref.key} of Secret {host.ref.name} from KEDA's own namespace into a "
            f"Secret of that name in {place}: a pool reads Secrets of its own namespace only",
        )
    return host.ref


def _vhost(
    trigger: Trigger,
    where: str,
    host: Parameter,
    protocol: Protocol,
    told: Mapping[str, Parameter],
    notes: Notes,
) -> str | None:
    own = _own_vhost(host.text, protocol)
    chosen = trigger.metadata.get("vhostName") or None
    if chosen is None and "vhostName" in told:
        hidden = told["vhostName"]
        if hidden.text is None or hidden.text != own:
            notes.warn(
                VHOST,
                f"{where} has its vhost in {hidden.origin}, and a pool has no field for that: "
                "write it here, or into the URL; without it the vhost of the URL is read",
            )
        return None
    is_other = own is not None and own not in (chosen, "/")
    if chosen is not None and protocol is Protocol.HTTP and is_other:
        notes.ask(
            VHOST,
            f"the URL in {host.origin} ends in another vhost, which KEDA leaves out: take it off, "
            "so that the URL ends in a slash; a pool takes it for part of the API's path",
        )
    return chosen


def _own_vhost(url: str | None, protocol: Protocol) -> str | None:
    """Return the vhost that a URL names, '/' if it names none; None where the URL is not known."""
    if url is None or not _is_url(url):
        return None
    path = urlsplit(url).path
    last = path.rpartition("/")[2] if protocol is Protocol.HTTP else path.removeprefix("/")
    return unquote(last) or "/"


def _ca(
    trigger: Trigger, where: str, told: Mapping[str, Parameter], notes: Notes
) -> SecretKeyRef | None:
    if is_on(trigger, where, "unsafeSsl"):
        notes.ask(
            CA,
            f"{where} has unsafeSsl, and a pool always verifies certificates: name the Secret "
            "with the broker's CA here, unless a public one has signed it",
        )
    ca = told.get("ca")
    if ca is None:
        return None
    if ca.ref is None or ca.is_elsewhere:
        notes.ask(CA, f"put the certificate of {ca.origin} into a Secret here, and name it")
        return None
    return ca.ref


def _certificate(
    where: str, told: Mapping[str, Parameter], notes: Notes
) -> Mapping[str, SecretKeyRef]:
    """Return the Secrets of the certificate that is shown to the broker, by the pool's fields."""
    found = {}
    for name, own in CLIENT_CERTIFICATE.items():
        part = told.get(name)
        if part is None:
            continue
        if part.ref is None or part.is_elsewhere:
            notes.ask(
                CERTIFICATE,
                f"{where} shows the broker a client certificate: put the {name} of {part.origin} "
                f"into a Secret of the pool's namespace, and name it here as {own}",
            )
            return {}
        found[own] = part.ref
    return found


def _ignored(trigger: Trigger, where: str, told: Mapping[str, Parameter], notes: Notes) -> None:
    """Name what a pool has no counterpart for, and what KEDA does not know either."""
    if "timeout" in trigger.metadata:
        notes.say(RABBITMQ, f"{where} has a timeout: the pool's own is 15 s for all its readings")
    if told.get("tls") is not None:
        notes.say(RABBITMQ, f"{where} has tls: for a pool the scheme of the URL says it")
    for name in sorted(trigger.metadata.keys() - KNOWN_METADATA):
        notes.say(RABBITMQ, f"{where}.metadata.{shown(name)} is left out: no field of KEDA's")


def _is_url(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True
