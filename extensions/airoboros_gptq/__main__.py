"""python -m airoboros_gptq chat | inspect | demo"""

import sys

from .cli import main

sys.exit(main())
