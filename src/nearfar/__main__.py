"""The program as `python -m nearfar`."""

from nearfar.cli.main import main

if __name__ == "__main__":
    main()
