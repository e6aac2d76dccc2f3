"""What the tests notice: a sample of one-line bugs, each tried on the tests that run its line.

    python tests/mutants/sample.py --sample mutants.json --out figures.json

draws 280 mutants of `portal_service/` (making.py), by seed, as many of each module as it has lines
that can be changed, one a line; and takes every bug of the migrations (sql.py). The file of the
sample is written where there is none, and used where there is: so a later commit, its tests moved
or its package too, is held to the very same mutants. One whose function or line changed since is
`gone`.

A first run of the tests of --tests shows which test runs which line, and which are red anyway
(covering.py). Then, in copies of the checkout, each mutant meets the tests that run its line,
cheapest first and one of each parametrised test before the rest, until one fails. Bugs of the
migrations meet those of --sql-tests.

    killed    a test failed
    timeout   no end within --cap seconds: an endless loop, or too slow a machine
    capped    survived, but --cap seconds were too few for all its tests
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
import signal
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

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Job = dict[str, Any]  # what a mutant is, as in both files, and its verdict


def copy_to(folder: Path) -> Path:
    """The checkout without what Git ignores, and without these tools."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if (ROOT / name).is_file() and HERE not in (ROOT / name).parents:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def pytest(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]


def covering(options: argparse.Namespace) -> Covering:
    folder, copy = options.work / "covering", options.work / "copy-covering"
    if not (folder / "times.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        copy_to(copy)
        (folder / "rc").write_text(RC.format(folder=folder))
        parallel = ("-n", str(options.processes), "--dist", "loadfile")
        command = pytest("-p", "covering", f"--hypothesis-seed={options.seed}", *parallel)
        environment = os.environ | {FOLDER: str(folder), "PYTHONPATH": str(HERE)}
        subprocess.run([*command, *options.tests], cwd=copy, env=environment, check=False)
    return Covering(folder, copy)


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
    return [asdict(one) | {"becomes": change(package, one)[1]} for one in drawn] + bugs


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


def choose(tests: set[str], times: dict[str, float], seconds: float) -> list[str]:
    """The cheapest that fit, one of each parametrised test before its others; file by file."""
    order, functions = [], set()
    for test in sorted(tests, key=lambda one: (times[one], one)):
        order.append((test.split("[")[0] in functions, times[test], test))
        functions.add(test.split("[")[0])
    chosen: list[str] = []
    for _, took, test in sorted(order):
        seconds -= took + 0.01
        if seconds < 0 and chosen:
            break
        chosen.append(test)
    cost: Counter[str] = Counter()
    for test in chosen:
        cost[test.split("::")[0]] += times[test]
    return sorted(
        chosen, key=lambda one: (cost[one.split("::")[0]], one.split("::")[0], times[one])
    )


def run(copy: Path, tests: list[str], options: argparse.Namespace) -> tuple[str, str]:
    """The verdict, and the line that tells which test failed."""
    for path in (copy / "portal_service").rglob("__pycache__"):
        shutil.rmtree(path)  # a mutant of the same size in the same second
    shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # what another mutant was found by
    asked, told, temporary = copy / ".tests", copy / ".told", copy / ".tmp"
    asked.write_text("\n".join(tests))
    command = pytest(
        "-x", f"--hypothesis-seed={options.seed}", "--tb=no", f"--basetemp={temporary}", f"@{asked}"
    )
    with told.open("w") as out:
        process = subprocess.Popen(
            command, cwd=copy, stdout=out, stderr=out, start_new_session=True
        )
        try:
            code = process.wait(options.cap)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that its Postgres ends too
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                for file in temporary.glob("**/postmaster.pid"):
                    os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
            return "timeout", ""
    text = told.read_text()
    if "ERROR: not found" in text and any("[" in one for one in tests):
        # the mutant gives parameters other names
        return run(copy, list(dict.fromkeys(one.split("[")[0] for one in tests)), options)
    failed = re.search(r"^(?:FAILED|ERROR).*|^E  .*|^ImportError.*", text, re.M)
    return "survived" if code == 0 else "killed", failed[0][:200] if failed else text[-200:]


def judge(job: Job, copy: Path, options: argparse.Namespace, known: Covering, package: Package):
    placed = place(job, package)
    if placed is None:
        return job | {"verdict": "gone"}
    file, text, line = placed
    tests = known.tests(file, line) if line else {
        one for one in known.times if one.startswith(tuple(options.sql_tests))}  # fmt: skip
    chosen = choose(tests, known.times, options.cap / 2)
    if not chosen:
        return job | {"verdict": "no test"}
    before = (copy / file).read_text()
    (copy / file).write_text(text)
    try:
        verdict, by = run(copy, chosen, options)
    finally:
        (copy / file).write_text(before)
    if verdict == "survived" and len(chosen) < len(tests):
        verdict = "capped"
    return job | {"verdict": verdict, "by": by, "tests": f"{len(chosen)} of {len(tests)}"}


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
    parser.add_argument("--sql-tests", nargs="+", default=["tests/schema/", "tests/tenancy/"])
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
    copies: Queue[Path] = Queue()
    for n in range(options.processes):
        copies.put(copy_to(options.work / f"copy-{n}"))
    lock = threading.Lock()

    def work(job: Job) -> None:
        copy = copies.get()
        try:
            judged = judge(job, copy, options, known, package)
        finally:
            copies.put(copy)
        with lock:
            done.append(judged)
            options.out.write_text(json.dumps(figures(done), indent=1))
            print(len(done), judged["verdict"], job.get("sql") or job["text"], flush=True)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(work, todo))
    print(json.dumps(figures(done)["figures"], indent=1))


if __name__ == "__main__":
    main()
