"""The command line: parse, one library call, print. stdout is data, stderr is talk."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError

from pleinair.errors import PleinairError, lacks_memory


def _version() -> str:
    from pleinair import about  # for those who ask

    return about.told()


app = App(
    name="pleinair",
    help="Turn photographs into paintings in the manner of Claude Monet.",
    version=_version,
    help_format="plaintext",
    help_formatter="plain",  # frames around the list of commands would be an eighth of its time
    suppress_keyboard_interrupt=False,  # main() says what happened
)

# Named, not imported: a command is loaded when it is called, so more of them start no slower.
COMMANDS = {
    "paint": "Paint photos, each into a file of its own size.",
    "video": "Paint every frame of clips; sound, subtitles, timing and colours are kept.",
    "serve": "Paint over HTTP: a page for people, and an API.",
    "train": "Train a painter from two unpaired folders of pictures.",
    "export": "Write a painter for other programs, compared with the original before it is kept.",
    "import": "Make a painter of weights that another program trained.",
    "evaluate": "Score painters, or folders of their results, against paintings.",
    "painters": "List, add, fetch and publish painters.",
    "doctor": "Say what a painter's file is, what it does to test pictures, and what to do.",
    "explain": "Write a page that shows how a painter paints a photo, layer by layer.",
    "data": "Get pictures to train from.",
    "site": "Write a page that paints in the browser alone, for any static host.",
}
# Where a command's own name cannot be a module's: module and function.
HOMES = {"import": ("importing", "import_")}
for _name, _help in COMMANDS.items():
    _home = ":".join(HOMES.get(_name, (_name, _name)))
    # An app of its own says in its own place how its pages look.
    _look = {} if _name in ("data", "painters") else {"help_formatter": "default"}
    app.command(f"pleinair.cli.{_home}", name=_name, help=_help, **_look)


def _said(error: Exception) -> str:
    """What is wrong, where cyclopts would tell of an argument that was never begun."""
    if not isinstance(error, MissingArgumentError) or error.argument is None:
        return str(error)
    # Of an option that was misspelt its own words say more.
    misspelt = any(token.startswith("-") for token in error.unused_tokens or ())
    if misspelt or error.keyword is not None or error.argument.tokens:
        return str(error)
    command = " ".join(["pleinair", *(error.command_chain or ())])
    return f"{error.argument.name} is missing; `{command} --help` says what is needed."


def _told(error: Exception) -> str:
    """The sentence for an error; of too little memory, whatever a library made of it."""
    known = isinstance(error, (PleinairError, CycloptsError))
    if not lacks_memory(error) or (known and "memory" in str(error)):
        return _said(error)
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return (
        f"there is not enough memory for this ({reason}); close other programs, take smaller "
        "pictures, or allow more."
    )


def main() -> NoReturn:
    """Entry point: errors become one line and exit code 1, Ctrl-C exit code 130."""
    from pleinair.cli.terminal import leave_at_once, say  # for those who run a command

    try:
        words = sys.argv[1:]
        code = app(words, result_action="return_value", exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        say("pleinair: interrupted.")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as error:
        if not isinstance(error, (PleinairError, CycloptsError)) and not lacks_memory(error):
            raise
        say(f"pleinair: {_told(error)}")
        code = 1
    code = code if isinstance(code, int) else 0
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # While Python is taken down, threads of a team's connections may abort the process.
        leave_at_once(code)
    sys.exit(code)
