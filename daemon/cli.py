"""Arguments, printing, exit codes."""


def main() -> None:
    """Entry point."""
