# SPDX-License-Identifier: GPL-2.0
"""Try out the policy of mm/page_reporting_pacing.c without a kernel.

Exit status: 0 all well, 1 something failed or a mutation was missed, 2 for bad input.
"""

from pathlib import Path

from .. import files, paths
from ..errors import BadInput, LabError
from . import ablations, breakage, traces, tradeoff


def chosen(names):
    """The traces of these names or files; all without any."""
    known, found = traces.everything(), {}
    for name in names or known:
        if name in known:
            found[name] = known[name]
        elif Path(name).is_file():
            try:
                found[Path(name).stem] = traces.load(name)
            except ValueError as error:
                raise BadInput(f"{name}: not lines of ms,pages: {error}") from error
        else:
            raise BadInput(f"{name}: no such file and no such trace; there are: {', '.join(known)}")
    return found


def run_replay(args):
    chosen_traces = chosen(args.trace)
    breakage.make(args.build, str(args.build / "replay"))
    results = {name: tradeoff.measure(args.build / "replay", trace) for name, trace in chosen_traces.items()}
    print("\n".join(tradeoff.table(results)))
    files.write_json(args.out / "results.json", results)
    tradeoff.draw(args.out / "tradeoff.png", results)
    print(f"\n{paths.shown(args.out.resolve())}: results.json, tradeoff.png")
    return 0


def run_mutants(args):
    breakage.make(args.build, str(args.build / "pacing-test"))
    if failed := breakage.failing(args.build / "pacing-test"):
        raise LabError(f"without a mutation: {', '.join(failed)}: mend this first")
    missed = 0
    for mutation in breakage.mutations():
        caught = breakage.try_one(args.build, mutation)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'}: {mutation['about']}: {mutation['caught_by']}", flush=True)
    print(f"{len(breakage.mutations()) - missed} caught, {missed} missed")
    return 1 if missed else 0


def run_ablations(args):
    for line in ablations.table(args.build, args.name):
        print(line, flush=True)
    return 0


def run_import(args):
    try:
        trace = traces.from_bench(args.record)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{args.record}: not a run of the bench: {error!r}") from error
    head = f"# {args.record.name}: the guest's resident memory, ms,pages of 4 KiB\n"
    args.csv.write_text(head + "".join(f"{ms},{pages}\n" for ms, pages in trace), encoding="utf-8")
    return 0


def arguments(parser):
    parser.add_argument("--build", default=paths.BUILD / "pacing", type=lambda text: Path(text).resolve(),
                        help="where what is built goes (%(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("replay", help="all policies on traces: table, results.json, tradeoff.png")
    command.add_argument("trace", nargs="*", help="a name, or a CSV file of ms,pages; all by default")
    command.add_argument("--out", default=paths.PACING / "results", type=Path,
                         help="where the results go (%(default)s)")
    command.set_defaults(run=run_replay)
    command = commands.add_parser("mutants", help="break the policy on purpose, one place at a time: a test has to fail")
    command.set_defaults(run=run_mutants)
    command = commands.add_parser("ablations", help="leave out one term of the policy, see what gets worse")
    command.add_argument("name", nargs="*", help="a part of its description; all by default")
    command.set_defaults(run=run_ablations)
    command = commands.add_parser("import", help="make a trace from a run of the bench")
    command.add_argument("record", type=Path, help="one of build/bench/raw/*.json")
    command.add_argument("csv", type=Path, help="the trace to write")
    command.set_defaults(run=run_import)


def main(args):
    return args.run(args)
