#!/usr/bin/env python3
"""Every command of the site: `up` runs it, `test` tests it, the others are Django's.

Works on a fresh clone with any Python from 3.8 on; examsim/bootstrap.py sets up what is missing.
"""

import os
import sys

from examsim import bootstrap, testing


def main() -> None:
    bootstrap.enter(sys.argv)
    if sys.argv[1:2] == ["test"]:
        testing.run_tests(sys.argv[2:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examsim.settings")
    from django.core.exceptions import ImproperlyConfigured  # only here is Django sure to be there
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    try:
        main()
    except bootstrap.SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
