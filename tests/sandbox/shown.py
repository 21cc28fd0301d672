"""All that an operator shows of a namespace, and whether a secret is in it."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

from sandbox.scene import Scene


def shown_of(scene: Scene) -> Mapping[str, str]:
    """Return log, Events, pools and metrics, by what they are."""
    operator = scene.stage.operator
    return {
        "log": operator.log,
        "events": json.dumps(scene.events(), ensure_ascii=False),
        "pools": json.dumps(scene.kube.get(scene.pools), ensure_ascii=False),
        "metrics": operator.metrics(),
    }


def secrets_in(shown: Mapping[str, str], secret: str, user: str) -> list[str]:
    """Return the places that show a secret, in whichever form."""
    return [
        place for place, text in shown.items() if any(form in text for form in forms(secret, user))
    ]


def forms(secret: str, user: str) -> set[str]:
    """The ways in which a secret may be written: plain, percent-encoded, Base64, quoted."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"{user}:{secret}".encode()).decode(),
    }
