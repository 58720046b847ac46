"""`python -m geoclip`."""

from geoclip.cli import main

if __name__ == "__main__":
    main()
