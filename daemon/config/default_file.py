"""The text of ``config.yaml``, written from the models, so that the shipped file cannot drift from the code.

``python -m daemon.config.default_file`` prints it.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, SecretStr

from daemon.config.schema import Config, section_model
from daemon.errors import ConfigError


def render_default_file() -> str:
    """The text of the shipped ``config.yaml``: every key with its default, unit and meaning."""
    lines = [
        "# Every key with its default. Each is also an environment variable STILLWATCH_<SECTION>__<KEY>,",
        "# for instance STILLWATCH_SELECT__COUNT=20. Relative paths start at this file's own folder.",
    ]
    for section in Config.model_fields:
        model = section_model(section)
        lines += ["", f"# {(model.__doc__ or '').strip()}", f"{section}:"]
        for key, info in model.model_fields.items():
            default = str(info.default) if isinstance(info.default, Path) else info.default
            default = default.get_secret_value() if isinstance(default, SecretStr) else default
            default = default.model_dump() if isinstance(default, BaseModel) else default
            text = (
                yaml.safe_dump(default, default_flow_style=True, width=10_000, allow_unicode=True)
                .removesuffix("...\n")
                .strip()
            )
            lines.append(f"  # {info.description}")
            lines.append(f"  {key}: {text}")
    return "\n".join(lines) + "\n"


def write_default_file(file: Path) -> Path:
    """Write the default configuration to ``file``, which must not be there; returns its absolute path.

    Raises ConfigError when it is there already or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(render_default_file())
    except FileExistsError as error:
        raise ConfigError(
            f"{file} is there already and stays as it is: name another file, or delete it first"
        ) from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}): name another file") from error
    return file.absolute()


if __name__ == "__main__":
    print(render_default_file(), end="")
