"""`python -m nsl_tools`: the same as the `nsl-tools` command."""

from nsl_tools.cli.commands import main

if __name__ == "__main__":
    main()
