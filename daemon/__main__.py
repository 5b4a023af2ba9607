"""``python -m daemon`` is the ``stillwatch`` command."""

from daemon.cli.main import main

if __name__ == "__main__":
    main()
