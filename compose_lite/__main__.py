"""`python -m compose_lite` is the same as `compose-lite`."""

from compose_lite.front import main

if __name__ == "__main__":
    raise SystemExit(main())
