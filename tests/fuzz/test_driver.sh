#!/usr/bin/env bash
# The fuzz driver finds what is planted, replays it, and stays silent where nothing is.
# usage: test_driver.sh FUZZ_PLANTED SANITIZED(true|false)
set -uo pipefail
planted=$1 sanitized=$2
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
checks=0

# Run with the given defect and arguments; output in $scratch/out.
fuzz() {
	WEIR_FUZZ_DEFECT=$1 timeout 60 "$planted" --dict "$here/planted.dict" "${@:2}" \
		>"$scratch/out" 2>&1
} 2>/dev/null

# check NAME CONDITION…
check() {
	local name=$1
	shift
	checks=$((checks + 1))
	if "$@"; then
		echo "ok $checks - $name"
	else
		echo "not ok $checks - $name"
		sed 's/^/# /' "$scratch/out"
		failed=1
	fi
}

says() { grep -q -- "$1" "$scratch/out"; }
fails_saying() { [ "$rc" -ne 0 ] && says "$1"; }

fuzz none --runs 20000; rc=$?
check "no defect: nothing found" [ $rc -eq 0 ]
fuzz crash --runs 20000; rc=$?
check "crash found" fails_saying "replay: --seed 1 --only"
number=$(sed -n 's/.*--only //p' "$scratch/out")
fuzz crash --only "${number:-0}"; rc=$?
check "crash replayed" fails_saying "--only ${number:-none}\$"
fuzz crash --runs 20000 --seed 2; rc=$?
check "another seed, another execution" fails_saying "seed 2 --only"
fuzz hang --runs 20000 --hang-seconds 2; rc=$?
check "hang found" fails_saying "hang in execution"
fuzz leak --runs 100000; rc=$?
check "leak found" fails_saying "leak\|Leak"
if [ "$sanitized" = true ]; then
	fuzz overrun --runs 20000; rc=$?
	check "read past the end found" fails_saying "AddressSanitizer"
fi
fuzz none --write-seeds "$scratch"; rc=$?
check "seeds written" cmp -s "$scratch/seed-000" <(printf aaaa)
printf 'a needle' >"$scratch/seed-000"
fuzz crash --runs 0 "$scratch"; rc=$?
check "seed files run" fails_saying "on seed input\|seed input"
printf 'oops\n' >"$scratch/bad.dict"
fuzz none --dict "$scratch/bad.dict"; rc=$?
check "bad dictionary refused" fails_saying "bad.dict:1:"
echo "1..$checks"
exit $failed
