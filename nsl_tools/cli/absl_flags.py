"""NSL 1.4's spelling of options, as absl defines it, on Click.

`--max_nbrs=5` is `--max-nbrs=5`; `--noadd_undirected_edges` is
`--no-add-undirected-edges`; a boolean takes a value: `--add_undirected_edges=true`.
"""

from __future__ import annotations

import click


def normalize(token: str) -> str:
    """Return an option or command name in hyphenated form."""
    return token.replace("_", "-")


class AbslCommand(click.Command):
    """A command that also takes absl's spelling of boolean options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite boolean options, then parse as usual."""
        flags = self._flags()
        end = args.index("--") if "--" in args else len(args)
        rewritten = [word for arg in args[:end] for word in _rewrite(arg, flags)]
        return super().parse_args(ctx, rewritten + args[end:])

    def _flags(self) -> dict[str, str | None]:
        """Return each flag and its opposite, or None if it has none."""
        flags: dict[str, str | None] = {}
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                opposite = next(iter(parameter.secondary_opts), None)
                flags |= dict.fromkeys(parameter.opts, opposite)
        return flags


def _rewrite(arg: str, flags: dict[str, str | None]) -> list[str]:
    """Return what Click should see in place of `arg`."""
    if not arg.startswith("--"):
        return [arg]
    name, equals, value = arg.partition("=")
    name = normalize(name)
    if not equals:
        positive = f"--{name.removeprefix('--no')}"
        return _switched_off(positive, flags) if positive in flags else [arg]
    if name not in flags:
        return [arg]
    if value.lower() in ("true", "t", "1", "yes", "y"):
        return [name]
    if value.lower() in ("false", "f", "0", "no", "n"):
        return _switched_off(name, flags)
    raise click.BadOptionUsage(name, f"Option {name!r} takes true or false, received {value!r}.")


def _switched_off(name: str, flags: dict[str, str | None]) -> list[str]:
    """Return the opposite of a flag; one that has none is off unless it is given."""
    opposite = flags[name]
    return [opposite] if opposite else []
