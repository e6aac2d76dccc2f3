"""What the tests notice: a sample of one-line bugs, each tried on the tests that run its line.

    python tests/mutants/sample.py --sample mutants.json --out figures.json

draws 280 mutants of `portal_service/` (making.py), by seed, as many of each module as it has lines
that can be changed, one a line; and takes every bug of the migrations (sql.py). The file of the
sample is written where there is none, and used where there is: so a later commit, its tests moved
or its package too, is held to the very same mutants. One whose function or line changed since is
`gone`.

A first run of the tests of --tests shows which test runs which line, and which are red anyway
(covering.py). Then, in copies of the checkout, each mutant meets at most --most of the tests that
run its line, until one fails; bugs of the migrations those of --sql-tests. A test that is red
alone, where nothing is changed, finds nothing.

    killed    a test failed
    timeout   no end within --cap seconds: an endless loop, or too slow a machine
    capped    survived, but it has more tests than --most
    survived  all its tests are green
    no test   nothing runs the line

A run that was interrupted goes on where it was, by --out and --work. Remove both for a new one.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from typing import Any

import sql
from covering import FOLDER, RC, Covering
from making import Mutant, Package
from warm import Runner

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTEST = ("-q", "-p", "no:cacheprovider")
VERDICTS = {0: "survived", None: "timeout"}
Job = dict[str, Any]  # what a mutant is, as in both files, and its verdict
Options = argparse.Namespace


def copy_to(folder: Path) -> Path:
    """The checkout without what Git ignores, and without these tools."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if (ROOT / name).is_file() and HERE not in (ROOT / name).parents:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def covering(options: Options) -> Covering:
    folder, copy = options.work / "covering", options.work / "copy-covering"
    if not (folder / "times.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        copy_to(copy)
        (folder / "rc").write_text(RC.format(folder=folder))
        parallel = ("-n", str(options.processes), "--dist", "loadfile")
        command = [sys.executable, "-m", "pytest", *PYTEST, "-p", "covering", *parallel]
        command.append(f"--hypothesis-seed={options.seed}")
        environment = os.environ | {FOLDER: str(folder), "PYTHONPATH": str(HERE)}
        subprocess.run([*command, *options.tests], cwd=copy, env=environment, check=False)
    return Covering(folder, copy.resolve())


def draw(package: Package, count: int, seed: int) -> list[Job]:
    """By module as many as its share of the lines; by line one, whatever can be done to it."""
    lines: dict[str, dict[int, list[Mutant]]] = defaultdict(lambda: defaultdict(list))
    for mutant in package.mutants:
        lines[mutant.file][mutant.line].append(mutant)
    share = count / sum(map(len, lines.values()))
    drawn = []
    for file, of_file in lines.items():
        chance = random.Random(f"{seed} {file}")
        wanted = min(max(2, round(share * len(of_file))), len(of_file))
        for line in sorted(chance.sample(sorted(of_file), wanted)):
            operator = chance.choice(sorted({one.operator for one in of_file[line]}))
            drawn.append(chance.choice([x for x in of_file[line] if x.operator == operator]))
    bugs = [{"sql": name, "before": old, "after": new} for name, (old, new) in sql.BUGS.items()]
    jobs = [asdict(one) | {"becomes": change(package, one)[1]} for one in drawn] + bugs
    random.Random(seed).shuffle(jobs)  # so that what is done of them is a sample too
    return jobs


def change(package: Package, mutant: Mutant) -> tuple[str, str]:
    """The source with the mutant, and its first line that is another one."""
    old, new = (ROOT / mutant.file).read_text(), package.source_with(mutant)
    pairs = zip(old.splitlines(), new.splitlines(), strict=False)
    return new, next((after.strip() for before, after in pairs if before != after), "")


def place(job: Job, package: Package) -> tuple[str, str, int] | None:
    """The file, how it reads with the bug, and the line; None: gone."""
    if "sql" in job:
        for path in sorted(ROOT.glob("supabase/migrations/*.sql")):
            if path.read_text().count(job["before"]) == 1:
                text = path.read_text().replace(job["before"], job["after"])
                return str(path.relative_to(ROOT)), text, 0
        return None
    named = ("function", "operator", "text")
    alike = [x for x in package.mutants if all(getattr(x, k) == job[k] for k in named)]
    alike.sort(key=lambda x: (x.file != job["file"], x.occurrence != job["occurrence"]))
    for mutant in alike:
        source, becomes = change(package, mutant)
        if becomes == job["becomes"]:
            return mutant.file, source, mutant.line
    return None


def choose(tests: set[str], known: Covering, file: str, most: int) -> list[str]:
    """Half of them the cheapest, half those that run little but this file; cheap files first."""
    cheap = _spread(sorted(tests, key=lambda one: (known.times[one], one)))
    near = _spread(sorted(tests, key=lambda one: (-known.nearness(one, file), one)))
    mixed = [one for pair in zip(cheap, near, strict=True) for one in pair]
    chosen = list(dict.fromkeys(mixed))[:most]
    cost: Counter[str] = Counter()
    for test in chosen:
        cost[test.split("::")[0]] += known.times[test]
    return sorted(chosen, key=lambda one: (cost[one.split("::")[0]], one.split("::")[0]))


def _spread(tests: list[str]) -> list[str]:
    """The first of each parametrised test before its others."""
    seen: Counter[str] = Counter()
    rounds = []
    for test in tests:
        seen[test.split("[")[0]] += 1
        rounds.append((seen[test.split("[")[0]], test))
    return [test for _, test in sorted(rounds, key=lambda one: one[0])]


def run(runner: Runner, copy: Path, tests: list[str], options: Options) -> tuple[str, str]:
    """The verdict, and the line that tells which test failed."""
    for path in (copy / "portal_service").rglob("__pycache__"):
        shutil.rmtree(path)  # a mutant of the same size in the same second
    shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # what another mutant was found by
    (copy / ".tests").write_text("\n".join(tests))
    args = (f"--hypothesis-seed={options.seed}", f"--basetemp={copy / '.tmp'}", "--tb=no")
    code = runner.run(copy, [*PYTEST, "-x", *args, f"@{copy / '.tests'}"], options.cap)
    text = (copy / ".told").read_text()
    if "ERROR: not found" in text and any("[" in one for one in tests):
        # the mutant gives parameters other names
        return run(runner, copy, list(dict.fromkeys(one.split("[")[0] for one in tests)), options)
    told = re.findall(r"^(?:FAILED|ERROR|E  |ImportError).*", text, re.M) or [text[-200:]]
    return VERDICTS.get(code, "killed"), told[0]


def judge(
    job: Job, runner: Runner, copy: Path, options: Options, known: Covering, package: Package
) -> Job:
    placed = place(job, package)
    if placed is None:
        return job | {"verdict": "gone"}
    file, text, line = placed
    of_sql = {one for one in known.times if one.startswith(tuple(options.sql_tests))}
    tests = known.tests(file, line) & known.times.keys() if line else of_sql
    chosen = choose(tests, known, file, options.most)
    if not chosen:
        return job | {"verdict": "no test"}
    before = (copy / file).read_text()
    (copy / file).write_text(text)
    try:
        verdict, by = run(runner, copy, chosen, options)
    finally:
        (copy / file).write_text(before)
    failed = max((one for one in chosen if f" {one}" in by), key=len, default="")
    if verdict == "killed" and failed:
        if failed not in known.green_alone:
            known.green_alone[failed] = run(runner, copy, [failed], options)[0] == "survived"
        if not known.green_alone[failed]:  # it needs others before it, and shows nothing here
            known.times.pop(failed, None)
            return judge(job, runner, copy, options, known, package)
    if verdict == "survived" and len(chosen) < len(tests):
        verdict = "capped"
    return job | {"verdict": verdict, "by": by[:200], "tests": f"{len(chosen)} of {len(tests)}"}


def figures(jobs: list[Job]) -> dict[str, Any]:
    by_module: dict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        by_module["SQL" if "sql" in job else job["file"]][job["verdict"]] += 1
        by_module["all"]["SQL " * ("sql" in job) + job["verdict"]] += 1
    return {"figures": by_module, "mutants": jobs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--count", type=int, default=280)
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / ".artifacts/mutants")
    parser.add_argument("--tests", nargs="+", default=["tests"])
    parser.add_argument(
        "--sql-tests", nargs="+", default=["tests/schema/", "tests/access/test_rows_by_role.py"]
    )
    parser.add_argument("--most", type=int, default=120, help="tests a mutant")
    parser.add_argument("--cap", type=float, default=90, help="seconds a mutant")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.work = options.work.resolve()

    package = Package(ROOT)
    if not options.sample.exists():
        options.sample.write_text(json.dumps(draw(package, options.count, options.seed), indent=1))
    sample: list[Job] = json.loads(options.sample.read_text())
    done: list[Job] = json.loads(options.out.read_text())["mutants"] if options.out.exists() else []
    todo = [job for job in sample if not any(job.items() <= one.items() for one in done)]
    known = covering(options)
    idle: Queue[tuple[Runner, Path]] = Queue()
    for n in range(options.processes):
        idle.put((Runner(), copy_to(options.work / f"copy-{n}")))
    lock = threading.Lock()

    def work(job: Job) -> None:
        runner, copy = idle.get()
        try:
            judged = judge(job, runner, copy, options, known, package)
        finally:
            idle.put((runner, copy))
        with lock:
            done.append(judged)
            options.out.write_text(json.dumps(figures(done), indent=1))
            print(len(done), judged["verdict"], job.get("sql") or job["text"], flush=True)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(work, todo))
    print(json.dumps(figures(done)["figures"], indent=1))


if __name__ == "__main__":
    main()
