"""NSL 1.4's spelling of options, as absl defines it, on Click.

`--max_nbrs=5` is `--max-nbrs=5`; `--noadd_undirected_edges` is
`--no-add-undirected-edges`; a boolean takes a value: `--add_undirected_edges=true`.
"""

from __future__ import annotations

import click

_TRUE = ("true", "t", "1", "yes", "y")
_FALSE = ("false", "f", "0", "no", "n")


def normalize(token: str) -> str:
    """Return an option or command name in hyphenated form."""
    return token.replace("_", "-")


class AbslCommand(click.Command):
    """A command that also takes absl's spelling of boolean options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite boolean options, then parse as usual."""
        flags = self._flags()
        end = args.index("--") if "--" in args else len(args)
        rewritten = [_rewrite(arg, flags) for arg in args[:end]]
        return super().parse_args(ctx, rewritten + args[end:])

    def _flags(self) -> dict[str, str | None]:
        """Return each flag and its opposite, or None if it has none."""
        flags: dict[str, str | None] = {}
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                opposite = next(iter(parameter.secondary_opts), None)
                flags |= dict.fromkeys(parameter.opts, opposite)
        return flags


def _rewrite(arg: str, flags: dict[str, str | None]) -> str:
    if not arg.startswith("--"):
        return arg
    name, equals, value = arg.partition("=")
    name = normalize(name)
    if not equals:
        return (
            flags.get(f"--{name.removeprefix('--no')}") or arg if name.startswith("--no") else arg
        )
    if name not in flags:
        return arg
    if value.lower() in _TRUE:
        return name
    opposite = flags[name]
    if value.lower() in _FALSE and opposite:
        return opposite
    raise click.BadOptionUsage(name, f"Option {name!r} takes true or false, received {value!r}.")
