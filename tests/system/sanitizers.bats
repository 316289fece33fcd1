#!/usr/bin/env bats
# The table's races under ThreadSanitizer, and what reads strangers' bytes on a fuzzer's. The counts
# here are for every check; `make fuzz` and CATLATCH_LONG go on for longer.

CATLATCH_BUILD=${CATLATCH_BUILD:-build}
runs=${CATLATCH_LONG:+2000000}
runs=${runs:-20000}
# What goes through more than a parser takes longer.
slow_runs=${CATLATCH_LONG:+500000}
slow_runs=${slow_runs:-20000}

setup() {
    corpus=$(mktemp -d "${TMPDIR:-/tmp}/catlatch-fuzz.XXXXXX")
}

teardown() {
    rm -rf "$corpus"
}

fuzz() { # NAME
    "$CATLATCH_BUILD/fuzz/fuzz_$1" -runs="$runs" -seed=1 -max_len=4096 -verbosity=0 \
        -artifact_prefix="$corpus/" "$corpus" 2>"$corpus.log" || {
        tail -n 40 "$corpus.log"
        return 1
    }
    rm -f "$corpus.log"
}

@test "writer and readers of the table have no data race" {
    # Without randomised addresses: some kernels' are more than ThreadSanitizer can map.
    TSAN_OPTIONS=halt_on_error=1 setarch -R "$CATLATCH_BUILD/tsan/test_table_race"
}

@test "workers that note usage and the sweep have no data race" {
    TSAN_OPTIONS=halt_on_error=1 setarch -R "$CATLATCH_BUILD/tsan/test_usage_race"
}

@test "workers that charge limits, take charges back and scribble have no data race" {
    TSAN_OPTIONS=halt_on_error=1 setarch -R "$CATLATCH_BUILD/tsan/test_limit_race"
}

@test "workers that count, the keeper's folding and who reads the totals have no data race" {
    TSAN_OPTIONS=halt_on_error=1 setarch -R "$CATLATCH_BUILD/tsan/test_process_race"
}

@test "any bytes as a table, and any operations on one" { fuzz table; }
@test "any bytes as a usage area, and any operations on one" { fuzz usage; }
@test "any text as rates, and any charges of their limits" { fuzz limit; }
@test "any bytes as a request" { fuzz resp; }
@test "any bytes as a stored record" { fuzz record; }
@test "any bytes as a configuration" { fuzz ini; }
@test "any bytes as a daemon's answer to the module socket" { fuzz verify_reply; }

@test "any bytes as a backup" { runs=$slow_runs fuzz backup; }
@test "any entries as a backup that is restored" { runs=$slow_runs fuzz restore; }
@test "any words as an import's" { runs=$slow_runs fuzz import; }
@test "any line as an import's, and its export again" { runs=$slow_runs fuzz import_line; }

@test "every fuzzer there is has a test here" {
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        grep -q "fuzz ${name#fuzz_};" "$BATS_TEST_FILENAME"
    done
}
