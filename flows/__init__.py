"""The top floor: what a person or a scheduler starts."""

import os

# A flow that is called from Python starts Prefect's own server, which on a fresh database takes 10
# to 20 s on an idle machine and is given up after 20. Prefect reads this as it is imported.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
