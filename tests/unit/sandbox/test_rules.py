"""Rules of a CRD that the stand-in refuses."""

import pytest

from scanpool_sandbox.kube.schema.rules import RuleError, compile_rule

SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"rule": " "}, "rule is not specified"),
        ({"rule": "self.size <"}, "compilation failed"),
        ({"rule": "self.sise < 3"}, "undefined field 'sise'"),
        ({"rule": "that.size < 3"}, "undeclared reference to 'that'"),
        ({"rule": "measure(self.size) < 3"}, "undeclared reference to 'measure'"),
        # A server that counts costs refuses what is put together from a number.
        ({"rule": "self.size < 3", "messageExpression": "string(self.size)"}, "set message"),
    ],
)
def test_a_rule_that_a_server_refuses_is_refused(source: dict[str, str], told: str) -> None:
    with pytest.raises(RuleError, match=told):
        compile_rule(source, SCHEMA)


def test_a_rule_that_a_server_takes_is_taken() -> None:
    assert not compile_rule({"rule": "self.size < 3"}, SCHEMA).is_transition
    assert compile_rule({"rule": "self.size < oldSelf.size"}, SCHEMA).is_transition
