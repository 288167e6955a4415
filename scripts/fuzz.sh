#!/usr/bin/env bash
# Runs every fuzz target for a while and prints, as a table, how many inputs it had.
# It ends with 1 if a target failed or had fewer than 5,000 inputs a minute.
#
#   scripts/fuzz.sh [SECONDS] [PATTERN]
#
# SECONDS for each target, by default 15; PATTERN is part of the names of those to run.
# -fuzzminimizetime bounds the runs in which an interesting input is made shorter: without
# it that takes up to a minute each, in which nothing else is tried.
set -u
cd "$(dirname "$0")/.."
seconds=${1:-15} pattern=${2:-} bad=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "| package | target | inputs in $seconds s |"
echo "|---|---|---|"
for folder in $(grep -rl --include=*_test.go '^func Fuzz' . | grep -v '^./vendor/' | xargs -n1 dirname | sort -u); do
	for target in $(cat "$folder"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' | sort -u); do
		[[ $target == *"$pattern"* ]] || continue
		# Go's fuzzing ends with "context deadline exceeded" where its time is up within a
		# run; a failure writes the input down.
		if ! go test "$folder" -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 100x >"$log" 2>&1 &&
			{ grep -q 'Failing input' "$log" || ! grep -q 'context deadline exceeded' "$log"; }; then
			cat "$log" >&2
			bad=1
		fi
		inputs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -1)
		echo "| ${folder#./} | ${target#Fuzz} | ${inputs:-0} |"
		if ((${inputs:-0} * 60 < 5000 * seconds)); then
			echo "$folder $target: fewer than 5,000 inputs a minute" >&2
			bad=1
		fi
	done
done
exit $bad
