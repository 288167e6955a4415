#!/bin/sh
# soak.sh [MINUTES [FOLDER]] trains a small model for so many minutes (10) and says
# whether memory, open files, threads and goroutines stay what they are.
#
# Half of the time one process trains, with a checkpoint every 50 steps, and is looked
# at every second. In the other half processes go on from the last checkpoint for 15
# seconds each and are ended by SIGTERM, SIGKILL and SIGQUIT in turn; the last has Go
# list its goroutines. Samples are in FOLDER/soak.tsv. Exit 5: something grew.
#
# Linux only: it reads /proc.
set -eu
minutes=${1:-10}
folder=${2:-$(mktemp -d)}
mkdir -p "$folder"
cd "$(dirname "$0")/.."
go build -o "$folder/alma" ./cmd/alma
alma=$folder/alma
samples=$folder/soak.tsv
log=$folder/soak.log
printf 'phase\tsecond\trss_kb\tfiles\tthreads\tgoroutines\n' > "$samples"

mkdir -p "$folder/texts"
cp docs/*.md docs/formats/*.md "$folder/texts"
"$alma" corpus build "$folder/texts" --out "$folder/corpus" --validation .2 --cut 2000 > "$log" 2>&1
"$alma" tokenizer train "$folder/corpus" --vocab 512 --out "$folder/tokenizer" >> "$log" 2>&1

pid=
trap 'test -z "$pid" || kill -9 "$pid" 2> /dev/null || true' EXIT

# begin starts or goes on with the training.
begin() {
	"$alma" pretrain --corpus "$folder/corpus" --tokenizer "$folder/tokenizer" --out "$folder/model" --checkpoint-steps 50 \
		--set steps=1000000 --set layers=2 --set width=64 --set heads=2 --set context=64 --set batch_tokens=512 --set micro_rows=8 \
		--set eval_every=200 --set eval_rows=8 2> "$folder/stderr" > /dev/null &
	pid=$!
}

# sample PHASE SECOND GOROUTINES writes what the process holds.
sample() {
	awk -v phase="$1" -v second="$2" -v files="$(ls "/proc/$pid/fd" | wc -l)" -v goroutines="$3" '
		/^VmRSS:/ { rss = $2 } /^Threads:/ { threads = $2 }
		END { printf "%s\t%d\t%d\t%d\t%d\t%s\n", phase, second, rss, files, threads, goroutines }' "/proc/$pid/status" >> "$samples"
}

# end SIGNAL ends the process and tells how many goroutines it had, if asked for.
end() {
	kill "-$1" "$pid"
	code=0
	wait "$pid" 2> /dev/null || code=$?
	pid=
	case $1/$code in
	TERM/143 | KILL/137 | QUIT/2) ;;
	*) echo "soak: ended by SIG$1 the process exits with $code"; tail -n 5 "$folder/stderr"; exit 1 ;;
	esac
	goroutines=$(grep -c '^goroutine ' "$folder/stderr" || true)
}

begun=$(date +%s)
# passed says the seconds since the beginning: a busy machine sleeps longer than it is told.
passed() { echo $(($(date +%s) - begun)); }
begin
second=0
while [ "$second" -lt $((minutes * 30)) ]; do
	sleep 1
	second=$(passed)
	sample one "$second" -
done
end QUIT
printf 'one\t%d\t-\t-\t-\t%d\n' "$second" "$goroutines" >> "$samples"

round=0
while [ "$(passed)" -lt $((minutes * 60)) ]; do
	begin
	sleep 15
	sample again "$round" -
	case $((round % 3)) in 0) signal=QUIT ;; 1) signal=TERM ;; 2) signal=KILL ;; esac
	end "$signal"
	test "$signal" != QUIT || printf 'again\t%d\t-\t-\t-\t%d\n' "$round" "$goroutines" >> "$samples"
	round=$((round + 1))
done
begin
sleep 3
end TERM
steps=$(tail -n 1 "$folder/model/metrics.jsonl" | sed 's/{"step":\([0-9]*\).*/\1/')

# The middle third of the samples beside the last: medians, of which memory may be 5 %
# more, and nothing else more than a goroutine and a thread that write a checkpoint.
awk -v minutes="$minutes" -v steps="$steps" -v rounds="$round" '
	function median(phase, column, from, to,   n, i, j, t, v) {
		n = 0
		for (i = from; i <= to; i++) v[++n] = value[phase, column, i]
		for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j-1] > v[j]; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
		return v[int((n + 1) / 2)]
	}
	function hold(phase, column, name, share, more,   n, middle, last, good) {
		n = count[phase, column]
		if (n < 3) return
		middle = median(phase, column, int(n / 3) + 1, int(2 * n / 3)); last = median(phase, column, int(2 * n / 3) + 1, n)
		good = last <= middle * (1 + share) + more
		printf "%-34s %9d %9d  %s\n", name, middle, last, good ? "flat" : "GREW"
		if (!good) grew = 1
	}
	NR > 1 { for (c = 3; c <= 6; c++) if ($c != "-") value[$1, c, ++count[$1, c]] = $c }
	END {
		printf "soak: %d minutes, %d steps, %d times gone on\n%-34s %9s %9s\n", minutes, steps, rounds, "", "middle", "last"
		hold("one", 3, "one process: resident kB", .05, 0); hold("one", 4, "one process: open files", 0, 1); hold("one", 5, "one process: threads", 0, 1)
		hold("again", 3, "after going on: resident kB", .05, 0); hold("again", 4, "after going on: open files", 0, 1)
		hold("again", 5, "after going on: threads", 0, 1); hold("again", 6, "after going on: goroutines", 0, 2)
		printf "%-34s %9d %9d\n", "goroutines: one process, going on", value["one", 6, 1], value["again", 6, count["again", 6]]
		exit grew ? 5 : 0
	}' "$samples"
