"""python -m airoboros_gptq chat | inspect | demo | bench"""

import sys

from .cli import main

sys.exit(main())
