"""`python -m tests.oracle`: audit a real Kafka against a sandbox; exit code 1 on a fault, or without a cursor."""

import argparse
import sys
from pathlib import Path

from . import audit

parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
parser.add_argument("--bootstrap", required=True, help="Kafka, host:port")
parser.add_argument("--prefix", required=True, help="VTJ_TOPICS__PREFIX")
parser.add_argument("--sandbox", required=True, help="URL of the sandbox")
parser.add_argument("--persons", type=Path, help="VTJ_UPSTREAM__PERSONS_FILE, if the feed has one")
parser.add_argument("--patience", type=float, default=120, help="how long an open transaction may last (s)")
args = parser.parse_args()
persons = frozenset(args.persons.read_text("utf-8").split()) if args.persons else None
verdict = audit(args.bootstrap, args.prefix, args.sandbox, persons=persons, patience=args.patience)
print(verdict)
if verdict.cursor is None:
    print("no cursor is committed: nothing was shown")
sys.exit(0 if verdict.sound and verdict.cursor is not None else 1)
