"""Faults of the API server. The pool has 3 replicas, and its queue asks for 5 meanwhile."""

import json
from copy import deepcopy
from typing import Any

from faults.case import Case, Step
from faults.gateway import Fault
from faults.injected import answers, at, cuts, is_late
from faults.world import Part, World
from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.stage import CRD
from scanpool.models.conditions import Reason
from scanpool.models.names import GROUP, PLURAL

WANTED = 5
AWAY_SECONDS = 60.0
SLOW_SECONDS = 5.0
HOME = "operator", "kube"
"""Where the operator finds the API server: the case and the service of the gateway."""

SCALE, STATUS = r"PATCH .*/scale(\?|$)", r"PATCH .*/status(\?|$)"
EVENTS = r"POST .*/events(\?|$)"
WRITES = r"(PATCH|PUT|POST) "
SECRETS, LEASES = r"GET .*/secrets/", r".*/leases"
DEPLOYMENTS, PODS, POOLS = r"GET .*/deployments\?", r"GET .*/v1/pods\?", r"GET .*workerpools\?"
LISTS_AND_WATCHES = r"GET .*\?"
WATCHES = r"GET .*[?&]watch=true"
NOBODY_LEADS = "the Lease runs out, and nobody acts"
ALL_BUT_LEASES = r"(?!.*/leases)"
DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
KEPT_BY_AN_OLDER_ONE = ("observedGeneration", "replicas", "desiredReplicas", "conditions")
"""What a CRD of the status that is older than the operator may be left with."""


def told(code: int, reason: str, message: str) -> Obj:
    """Return a Status as the API server writes it."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return {**status, "code": code, "reason": reason, "message": message}


def says(code: int, reason: str, message: str, **headers: str) -> Fault:
    """Refuse as the API server does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answers(code, told(code, reason, message), {"Content-Type": "application/json", **named})


def forbidden(what: str) -> Fault:
    return says(403, "Forbidden", f"{what} is forbidden: no RBAC policy matched")


def does(fault: Fault) -> Step:
    def inject(w: World, _: str) -> None:
        w.inject(*HOME, fault)
        # Watches, that would go on for half a minute.
        w.cut()

    return inject


def is_itself(w: World, _: str) -> None:
    w.mend(*HOME)


def case(name: str, injects: str, fault: Fault, reason: Reason | None, **more: Any) -> Case:
    """Return a case of what the API server does to requests; those under way are cut."""
    usual: dict[str, Any] = {
        "inject": does(fault), "mend": is_itself, "replicas": 3, "after": WANTED, "most": WANTED,
        "tells": "" if reason is None else "Ready=False", "reason": str(reason or ""),
    }  # fmt: skip
    return Case(f"api-{name}", Part.API_SERVER, injects, **(usual | more))


def works_on(name: str, injects: str, fault: Fault, **more: Any) -> Case:
    """Return a case in which the pool grows as if nothing were the matter."""
    return case(name, injects, fault, None, replicas=WANTED, **more)


def silenced(name: str, injects: str, fault: Fault) -> Case:
    """Return a case in which nobody leads any more, and no status can say so."""

    def inject(w: World, at_name: str) -> None:
        does(fault)(w, at_name)
        until("nobody leads", lambda: not w.scene.stage.operator.leads())

    return case(name, injects, fault, None, inject=inject, note=NOBODY_LEADS)


def is_away(w: World, _: str) -> None:
    w.background.run(w.gateway.refuse())


def is_back(w: World, _: str) -> None:
    w.background.run(w.gateway.accept())


def is_older(w: World, _: str) -> None:
    """Serve the pools by a CRD whose status lacks most of what this operator writes."""
    versions = deepcopy(w.scene.kube.get(DEFINITION)["spec"]["versions"])
    status = versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    status["properties"] = {key: status["properties"][key] for key in KEPT_BY_AN_OLDER_ONE}
    w.scene.kube.patch(DEFINITION, {"spec": {"versions": versions}})


def is_the_same_again(w: World, _: str) -> None:
    w.scene.kube.kubectl("apply", "-f", CRD)


AWAY, FORBIDDEN = Reason.KUBERNETES_UNAVAILABLE, Reason.KUBERNETES_FORBIDDEN
CONFLICT = says(409, "Conflict", "the object has been modified")
BUSY = says(429, "TooManyRequests", "too many requests, please try again later", Retry_After="1")
EMPTY_CACHE = says(429, "TooManyRequests", "storage is (re)initializing", Retry_After="1")
GONE = says(410, "Expired", "too old resource version")
EXPIRED = json.dumps({"type": "ERROR", "object": told(410, "Expired", "too old resource version")})

CASES = (
    Case("api-down", Part.API_SERVER, "down for 60 s, every connection cut", is_away, is_back, 3,
         tells="", after=WANTED, most=WANTED, note=NOBODY_LEADS, lasts_seconds=AWAY_SECONDS),
    case("conflicts", "409 to every scaling", at(SCALE, CONFLICT), Reason.SCALE_CONFLICT),
    silenced("all-conflicts", "409 to every write, the Lease's too", at(WRITES, CONFLICT)),
    case("scale-busy", "429 with Retry-After to every scaling", at(SCALE, BUSY), AWAY),
    case("busy", "429 with Retry-After to lists and watches of Deployments",
         at(DEPLOYMENTS, BUSY), AWAY),
    silenced("all-busy", "429 with Retry-After to everything", BUSY),
    case("scale-500", "500 to every scaling", at(SCALE, says(500, "InternalError", "etcd")), AWAY),
    case("empty-cache", "started anew with an empty watch cache: 429 to every list and watch",
         at(LISTS_AND_WATCHES, EMPTY_CACHE), AWAY),
    case("scale-forbidden", "403 to every scaling",
         at(SCALE, forbidden("patch of deployments/scale")), FORBIDDEN),
    case("deployments-forbidden", "403 to lists and watches of Deployments",
         at(DEPLOYMENTS, forbidden("list of deployments")), FORBIDDEN),
    case("pods-forbidden", "403 to lists and watches of pods",
         at(PODS, forbidden("list of pods")), FORBIDDEN),
    case("secrets-forbidden", "403 to reads of Secrets",
         at(SECRETS, forbidden("get of secrets")), FORBIDDEN, replicas=WANTED,
         note="they are known for 45 s"),
    silenced("lease-forbidden", "403 to the Lease, which it has held",
             at(LEASES, forbidden("update of leases"))),
    works_on("pools-forbidden", "403 to lists and watches of pools",
             at(POOLS, forbidden("list of scanworkerpools")), note="those that are known go on"),
    works_on("events-forbidden", "403 to Events", at(EVENTS, forbidden("create of events"))),
    works_on("status-forbidden", "403 to every status",
             at(STATUS, forbidden("patch of scanworkerpools/status"))),
    works_on("status-conflicts", "409 to every status", at(STATUS, CONFLICT)),
    case("page", "200 with a proxy's page for the Deployments",
         at(DEPLOYMENTS, answers(200, "<html>log in</html>")), AWAY),
    case("cut", "a reset in the middle of the pods", at(PODS, cuts()), AWAY),
    silenced("slow", "5 s slow", is_late(SLOW_SECONDS)),
    works_on("slow-but-for-leases", "5 s slow but for Leases, which it answers first",
             at(ALL_BUT_LEASES, is_late(SLOW_SECONDS))),
    works_on("watch-cut", "every watch ended at once", at(WATCHES, answers(200))),
    works_on("watch-410", "410 to every watch", at(WATCHES, GONE)),
    works_on("watch-expired", "every watch told that its version is too old",
             at(WATCHES, answers(200, EXPIRED))),
    Case("api-older-crd", Part.API_SERVER, "an older CRD, which prunes most of the status",
         is_older, is_the_same_again, WANTED, tells="", after=WANTED, most=WANTED),
)  # fmt: skip
