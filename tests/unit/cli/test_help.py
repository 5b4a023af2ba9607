"""The help of the command line: a line for each command, none cut short."""

from __future__ import annotations

from typer.testing import CliRunner

from daemon.cli.main import COMMANDS, typer_app


def test_every_command_is_told_whole_in_a_terminal_of_80_columns() -> None:
    told = CliRunner().invoke(typer_app(), ["--help"], terminal_width=80).output.partition("Commands:\n")[2]
    lines = told.rstrip().splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []
