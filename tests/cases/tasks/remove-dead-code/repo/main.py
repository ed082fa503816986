import sys

import modern

if "--legacy" in sys.argv:
    import legacy

    print(legacy.work())
else:
    print(modern.work())
