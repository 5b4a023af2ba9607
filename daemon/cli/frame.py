"""``stillwatch show VIDEO --frame N``: why one frame has its verdict, by which figures and beside which frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from daemon.cli.render import escape, unwrapped_console
from daemon.config.schema import Config
from daemon.pipeline.explain import explain
from daemon.store.store import Store


async def frame_facts(config: Config, store: Store, video: str, frame: int) -> dict[str, Any]:
    """What is known of a frame of the film that ``video`` names. Raises StoreError(NOT_FOUND) for either."""
    return await explain(store, await store.videos.find(video), config, frame)


def print_frame(facts: dict[str, Any]) -> None:
    """The frame in a few lines, then every gate that was asked, with figures and limits."""
    console = unwrapped_console()
    for line in frame_lines(facts):
        console.print(line)
    if facts["judged"]:
        console.print(_gates(facts["judged"]))


def frame_lines(facts: dict[str, Any]) -> list[str]:
    """What ``print_frame`` prints before its table, as rich markup."""
    name = escape(Path(facts["video"]).name)
    lines = [f"{name}, frame {facts['frame']} of {facts['frames']}, {facts['time_s']:.3f} s"]
    lines.append(f"  verdict {facts['verdict'] or 'none'}: {escape(facts['because'])}")
    if facts["left_out"]:
        lines.append("  left out for damage, with whole frames within a minute")
    elif facts["reserve"]:
        lines.append(f"  in reserve: {escape(facts['reserve'])}")
    if not facts["current"] and facts["verdict"]:
        lines.append("  the verdict was found with other settings or by another version; the figures are today's")
    if facts["score"] is not None:
        shares = f"no worse than {facts['percentile_film']:g} % of the film"
        if facts["percentile_shot"] is not None:
            shares += f", {facts['percentile_shot']:g} % of its shot"
        lines.append(f"  {facts['metric']} {facts['score']:.4f}: {shares}")
    if (shot := facts["shot"]) is not None:
        lines.append(f"  {shot['kind']} {shot['number']}, frames {shot['first']} to {shot['last']}")
    if (moment := facts["moment"]) is not None:
        best = "none that is good" if moment["best"] is None else f"the best is {moment['best']}"
        lines.append(f"  moment of {moment['seconds']:.2f} s, frames {moment['first']} to {moment['last']}, {best}")
    if (still := facts["still"]) is not None:
        reason = still["reason"] or {}
        stands = f", stands for {reason['frames']} frames, {reason['seconds']:.1f} s" if reason.get("frames") else ""
        lines.append(f"  still {still['rank']}{stands}")
    return lines


def _gates(judged: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=True)
    for column in ("gate", "figure"):
        table.add_column(column)
    for column in ("value", "refused", "usual", "compared with"):
        table.add_column(column, justify="right")
    for gate in judged:
        frames = gate["comparable"]["frames"]
        word = f"[red]{gate['gate']}[/]" if gate["refused"] else gate["gate"]
        if not gate["figures"]:
            table.add_row(word, "", "", "", "", "")
        for number, figure in enumerate(gate["figures"]):
            table.add_row(
                word if number == 0 else "",
                figure["name"],
                _shown(figure["value"]),
                f"{figure['refused_if']} {_shown(figure['limit'])}",
                _shown(figure["reference"]),
                f"{frames} frames" if frames and number == 0 else "",
            )
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
