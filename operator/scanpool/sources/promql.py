"""The PromQL of the presets: what everyone on the models of one limit uses, per minute.

A preset asks for all its figures in one query: they are of one moment, and Prometheus is asked
once. Each number of the answer carries the label FIGURE_LABEL, which says what it is.

Every name of a counter is asked for, joined by `or`: of series with the same labels the first
counts, so that an exporter that tells one thing under two names is counted once.

A series counts if any of its labels that may hold the model does. No selector can say so in one,
and none may name a label with dots where Prometheus does not know UTF-8 names; label_replace can do
both: it marks the series of the models, and reads any label.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from scanpool.models.limit_names import SNAPSHOT, LimitNames
from scanpool.models.llm import Label, UsagePreset
from scanpool.models.units import SECONDS_PER_MINUTE
from scanpool.sources.exporters import EXPORTERS, UTF8_LABELS, Counter, Figure, Kinds

FIGURE_LABEL: Final = "figure"
TARGET_LABELS: Final = ("job", "instance")
"""What Prometheus itself calls the exporter that a series is of."""
STEPS_PER_WINDOW: Final = 12
"""Of the search for the newest sample of series that have ended: every 5 s in a minute."""
_OURS: Final = "ours"
"""Marks the series of the limit's models where no selector can."""


def preset_query(
    preset: UsagePreset, limit: LimitNames, window_seconds: int, labels: Sequence[Label] = ()
) -> str:
    """Return a preset's query for the models of a limit, averaged over the window.

    With `labels`, only series that have them count.
    """
    exporter = EXPORTERS[preset]
    own = tuple(f"{label.name}={string_literal(label.value)}" for label in labels)
    wanted = _Wanted(string_literal(models_pattern(limit)), own)

    def per_minute(counter: Counter, *by: str) -> str:
        rates = wanted.ask(counter, lambda one: f"rate({one}[{window_seconds}s])")
        figures = _with_figure(rates, counter.figure)
        return f"sum by ({', '.join((FIGURE_LABEL, *by))}) ({figures}) * {SECONDS_PER_MINUTE}"

    counters = (*exporter.tokens, *exporter.cache_reads, *exporter.requests)
    parts = [per_minute(counter, *TARGET_LABELS) for counter in counters]
    newest = _newest(exporter.tokens[0], wanted, window_seconds)
    parts.append(_with_figure(newest, Figure.SAMPLED_AT))
    if exporter.calls is not None:
        parts.append(per_minute(exporter.calls, exporter.code_label))
    return " or ".join(parts)


def models_pattern(limit: LimitNames) -> str:
    """Return the regular expression of all names that count against a limit, to be anchored."""
    names = "|".join(map(re.escape, limit.names))
    place = f"({re.escape(limit.place)})?" if limit.place else ""
    return f"{place}({names})({SNAPSHOT})*" if limit.with_snapshots else names


def string_literal(text: str) -> str:
    """Return `text` as a PromQL string, which is escaped as in Go."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    shown = (one if one.isprintable() else f"\\U{ord(one):08x}" for one in escaped)
    return '"' + "".join(shown) + '"'


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Whose series count: of the models in a literal with a regular expression, with these labels.

    `labels` are matchers.
    """

    models: str
    labels: tuple[str, ...]

    def ask(self, counter: Counter, *asks: Callable[[str], str]) -> str:
        """Ask the same of a counter under each of its names, for series of the models alone."""
        # Names with dots stand in quotes, as every Prometheus reads them.
        names = (*counter.names, *counter.utf8_names)
        matchers = [",".join((f'__name__="{name}"', *self.labels)) for name in names]
        selectors = [f"{{{one}}}" for one in matchers]
        found = " or ".join(ask(one) for ask in asks for one in selectors)
        if counter.utf8_names:
            for label, written in UTF8_LABELS.items():
                found = f'label_replace({found}, "{label}", "$1", "{written}", "(.+)")'
        for label in counter.model_labels:
            found = f'label_replace({found}, "{_OURS}", "1", "{label}", {self.models})'
        return f"({found} and on ({_OURS}) {_marked('vector(1)', _OURS, '1')})"


def _newest(counter: Counter, wanted: _Wanted, window_seconds: int) -> str:
    """Return the expression for the time of the newest sample.

    A series whose target is gone or fails is over at once for an instant selector, while rate()
    still counts its samples within the window: there its end is searched for.
    """
    steps = f"[{window_seconds}s:{max(window_seconds // STEPS_PER_WINDOW, 1)}s]"
    samples = wanted.ask(
        counter,
        lambda one: f"timestamp({one})",
        lambda one: f"max_over_time(timestamp({one}){steps})",
    )
    return f"max{samples}"


def _with_figure(expression: str, figure: Figure | Kinds) -> str:
    if isinstance(figure, Figure):
        return _marked(expression, FIGURE_LABEL, figure)
    marked = _marked(expression, FIGURE_LABEL, Figure.OTHER)
    for one, values in figure.figures:
        marked = f'label_replace({marked}, "{FIGURE_LABEL}", "{one}", "{figure.label}", "{values}")'
    return marked


def _marked(expression: str, label: str, value: str) -> str:
    """Give every series of an expression the same label."""
    return f'label_replace({expression}, "{label}", "{value}", "", "")'
