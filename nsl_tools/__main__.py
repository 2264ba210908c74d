"""`python -m nsl_tools`: the same as the `nsl-tools` command."""

from nsl_tools.cli.entry import main

if __name__ == "__main__":
    main()
