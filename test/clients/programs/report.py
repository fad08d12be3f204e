"""What every program here is told, and how it says what it got: a line of JSON for each client and model."""
import json
import os
import traceback

ORIGIN = os.environ["FAIRLEAD_ORIGIN"]
MODELS = os.environ["FAIRLEAD_MODELS"].split(",")


def report(client, model, work):
    try:
        line = {"client": client, "model": model, **work()}
    except Exception:  # whatever a library throws is what it got
        line = {"client": client, "model": model, "error": traceback.format_exc()}
    print(json.dumps(line), flush=True)
