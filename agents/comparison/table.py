"""Scores as tables: markdown with every column, and as wide as a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from rich.markdown import Markdown

from agents.comparison.scores import Scores
from agents.families import Family
from agents.play import FOREIGN, UNTRAINED
from agents.progress import console
from agents.statistics import interval

TWINS = {UNTRAINED: "untrained", FOREIGN: "own features"}


def table(kind: Family, results: dict[str, Scores], against: Sequence[str] | None = None) -> str:
    """A markdown table of the policies. The last columns are paired differences of the headline: to each of
    the rows ``against`` (by default the family's), of a learned row to its untrained twin, of one with
    another object's features to itself."""
    if against is None:
        against = [name for name in kind.against if name in results]
    any_scores = next(iter(results.values()))
    shown = [key for key in kind.columns if key in any_scores.figures]
    headline = next(key for key in kind.headline if key in shown)
    twins = [twin for twin in TWINS if any(row.endswith(twin) for row in results)]
    title = kind.columns[headline].short or kind.columns[headline].title
    extra = kind.extra(results)
    head = ["policy", *(kind.columns[key].title for key in shown), *extra]
    head += [f"{title} minus {name}" for name in (*against, *(TWINS[twin] for twin in twins))]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, alike in one_policy(kind, results).items():
        scores = results[name]
        others = [*against]
        others += [name + twin if twin == UNTRAINED else name.removesuffix(twin) for twin in twins]
        cells = [", ".join([name, *alike]), *(_cell(kind, scores, key, key == headline) for key in shown)]
        cells += [column.get(name, "") for column in extra.values()]
        cells += [
            _difference(kind, scores, results.get(o), headline) if o not in (name, *alike) else ""
            for o in others
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def one_policy(kind: Family, results: dict[str, Scores]) -> dict[str, list[str]]:
    """The rows that are shown, and to each those of ``kind.alike`` that scored exactly what it scored
    in every episode, by every figure: one policy, under several names."""
    found: dict[str, list[str]] = {}
    for name, scores in results.items():
        alike = (row for row in found if {row, name} <= {*kind.alike} and _same(results[row], scores))
        first = next(alike, None)
        if first is None:
            found[name] = []
        else:
            found[first].append(name)
    return found


def _same(one: Scores, other: Scores) -> bool:
    return one.figures.keys() == other.figures.keys() and all(
        np.array_equal(values, other.figures[key]) for key, values in one.figures.items()
    )


def _cell(kind: Family, scores: Scores, key: str, is_headline: bool) -> str:
    column = kind.columns[key]
    values, form = column.factor * scores.at_end(key), column.form.format
    cell = form(column.factor * scores.mean(key))
    if column.interval or (is_headline and not column.spread):
        _, low, high = _interval(kind, values, scores)
        cell += f" [{form(low)}, {form(high)}]"
    if column.spread and scores.seeds > 1:
        each = [replace(scores, figures={key: row[None]}).mean(key) for row in values]
        cell += f" ({form(min(each))} to {form(max(each))})"
    return cell


def _difference(kind: Family, scores: Scores, other: Scores | None, key: str) -> str:
    """Paired by seed and episode; by episode alone where there are not as many seeds."""
    if other is None:
        return ""
    here, there = scores.starts, other.starts
    if here is not None and there is not None and not np.allclose(here, there, atol=1e-6):
        return "other episodes"
    ours, theirs = scores.at_end(key), other.at_end(key)
    theirs = theirs if len(theirs) == len(ours) else theirs.mean(axis=0, keepdims=True)
    column = kind.columns[key]
    values = (column.difference.format(column.factor * x) for x in _interval(kind, ours - theirs, scores))
    return "{} [{}, {}]".format(*values)


def _interval(kind: Family, values: np.ndarray, scores: Scores) -> tuple[float, float, float]:
    return interval(values if kind.over_seeds else values.mean(axis=0, keepdims=True), scores.scenes)


def page(
    kind: Family, env, results: dict[str, Scores], seen_by: Sequence[str] = (), budgets: Sequence[int] = ()
) -> str:
    """The tables with what it takes to read them but for the formulas, markdown. ``seen_by`` are the rows
    that were trained on these scenes; ``budgets`` are smaller than the environment's: where the episodes are
    stopped, for a table each."""
    any_scores, task = next(iter(results.values())), env.unwrapped.task
    novelty = f"unseen {kind.scenes}"
    if seen_by:
        novelty = f"training {kind.scenes} of {', '.join(seen_by)}, unseen by the others"
    seeds = max(scores.seeds for scores in results.values())
    spread = f"; up to {seeds} seeds, their least and largest mean in parentheses" if seeds > 1 else ""
    text = (
        f"**{kind.label_of(env)}, {novelty}**: {len(any_scores.scenes)} paired episodes, "
        f"{len(np.unique(any_scores.scenes))} {kind.scenes}, {kind.details(task)}{spread}\n\n"
        f"{table(kind, results)}\n\n"
    )
    for budget in budgets:
        stopped = {name: kind.stopped(task, scores, budget) for name, scores in results.items()}
        text += f"The same episodes, stopped at {budget}:\n\n{table(kind, stopped)}\n\n"
    return text


# ---- on a terminal


def show(text: str) -> None:
    """Print markdown; of its tables so many columns abreast as there is room for, rows' names whole."""
    for is_table, lines in groupby(text.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            plain = "\n".join(fitted([*lines], console.width))
            console.print(plain, highlight=False, no_wrap=True, crop=False)
        else:
            console.print(Markdown("\n".join(lines)))


def fitted(lines: Sequence[str], width: int) -> list[str]:
    """A markdown table as plain text, one below the other so many columns as fit into the width."""
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    names = [row[0] for row in body]
    beside = max(map(len, [head[0], *names]))
    columns = [(head[k], [row[k] for row in body]) for k in range(1, len(head))]
    wide = [max(map(len, [*cells, *title.split(), *textwrap.wrap(title, 12)])) for title, cells in columns]
    out: list[str] = []
    while columns:
        beginning, count, used = not out, 0, beside
        while count < len(columns) and (count == 0 or used + 2 + wide[count] <= width):
            used += 2 + wide[count]
            count += 1
        titles = [textwrap.wrap(title, size) for (title, _), size in zip(columns[:count], wide, strict=False)]
        depth = max(map(len, titles))
        for n in range(-depth, 0):
            said = [title[n] if n >= -len(title) else "" for title in titles]
            out.append(_line(head[0] if n == -1 else "", beside, said, wide))
        out.append("-" * used)
        for k, name in enumerate(names):
            cells = [column[k] for _, column in columns[:count]]
            out += [_line(name, beside, cells, wide)] if any(cells) or beginning else []
        out.append("")
        columns, wide = columns[count:], wide[count:]
    return out


def _line(name: str, beside: int, cells: Sequence[str], wide: Sequence[int]) -> str:
    each = (cell.rjust(size) for cell, size in zip(cells, wide, strict=False))
    return "  ".join([name.ljust(beside), *each]).rstrip()
