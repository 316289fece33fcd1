load lib

setup() {
    make_folder
}

teardown() {
    remove_folder
}

secret=cc_live_0123456789abcdefghijklmnopqrstuvwxyz012345

@test "alone it prints an overview, and every command has help on stdout" {
    run --separate-stderr catlatch
    expect_status 0
    commands=$(sed -n 's/^  \([a-z]\+\( [a-z]\+\)\?\)  .*/\1/p' <<<"$output")
    [ "$(wc -l <<<"$commands")" -ge 16 ]
    while read -r command; do
        run --separate-stderr catlatch $command --help
        expect_status 0
        expect_text "$output" "Usage: catlatch $command"
        [ -z "$stderr" ]
        run --separate-stderr catlatch help $command
        expect_status 0
        expect_text "$output" "Usage: catlatch $command"
    done <<<"$commands"
    run --separate-stderr catlatch owner --help
    expect_status 0
    [ "${#lines[@]}" -eq 5 ]
    [ "$output" = "$(catlatch help owner)" ]
}

@test "help stays within a hundred columns" {
    commands=$(catlatch | sed -n 's/^  \([a-z]\+\( [a-z]\+\)\?\)  .*/\1/p')
    [ "$(wc -l <<<"$commands")" -ge 16 ]
    while read -r command; do
        run catlatch help $command
        [ "$(wc -L <<<"$output")" -le 100 ]
    done <<<"$commands"
}

@test "--version tells the version, before and after a command" {
    [[ $(catlatch --version) =~ ^catlatch\ [0-9] ]]
    [ "$(catlatch list --version)" = "$(catlatch -V)" ]
}

@test "an unknown command or option is status 64 with the nearest known one" {
    run --separate-stderr catlatch lsit
    expect_status 64
    [ "$stderr" = 'catlatch: unknown command "lsit"; did you mean list?' ]
    run --separate-stderr catlatch list --onwer acme
    expect_status 64
    [ "$stderr" = 'catlatch: unknown option "--onwer"; did you mean --owner?' ]
    run --separate-stderr catlatch list --onwer=acme
    expect_status 64
    [ "$stderr" = 'catlatch: unknown option "--onwer"; did you mean --owner?' ]
    run --separate-stderr catlatch revoke --expires 90d
    expect_status 64
    run --separate-stderr catlatch frobnicate
    expect_status 64
    run --separate-stderr catlatch list -n
    expect_status 64
    [ "$stderr" = 'catlatch: unknown option "-n"; --help lists them' ]
    run --separate-stderr catlatch list --limit
    expect_status 64
    expect_text "$stderr" "--limit needs its N"
    run --separate-stderr catlatch list --json=yes
    expect_status 64
    run --separate-stderr catlatch create --name a --name b
    expect_status 64
    expect_text "$stderr" "--name is given twice"
}

@test "a key among the arguments is refused wherever it stands, and never repeated" {
    local line
    while read -r line; do
        run --separate-stderr catlatch $line
        expect_status 64
        expect_text "$stderr" "standard input"
        [[ $output$stderr != *0123456789abcdef* ]]
    done <<LINES
$secret
revoke $secret
verify $secret
list --prefix $secret
list --prefix=$secret
create --name x --comment see:$secret!
--config $secret list
help $secret
LINES
}

@test "a key cut short or with a prefix of the configuration is refused as well" {
    printf '[environments]\nprod = acme_\n' >>"$dir/etc/catlatch.ini"
    for word in acme_0123456789abcdefghijklmno acme_0123456789abcdefghijklmnopqrstuvwxyz012345; do
        run --separate-stderr catlatch list --prefix "$word"
        expect_status 64
        [[ $stderr != *"$word"* ]]
    done
}

@test "what merely resembles a key is not refused" {
    run --separate-stderr catlatch list --meta commit=abc_0123456789abcdef0123456789abcdef01234567
    expect_status 69
    run --separate-stderr catlatch list --prefix cc_live_AbCdEfG
    expect_status 69
}

@test "configtest accepts a good file and names file and line of a bad one" {
    run --separate-stderr catlatch configtest
    expect_status 0
    expect_text "$output" "$dir/etc/catlatch.ini: good"
    catlatch configtest --json | jq -e '.valid == true'
    printf '[daemon]\nstate_dri = /x\n' >"$dir/bad.ini"
    run --separate-stderr catlatch configtest -c "$dir/bad.ini"
    expect_status 78
    expect_text "$stderr" "bad.ini:2:"
    expect_text "$stderr" "state_dir"
    printf '[service default]\nrequired = tabel\n' >"$dir/bad.ini"
    run --separate-stderr catlatch -c "$dir/bad.ini" configtest
    expect_status 78
    expect_text "$stderr" "bad.ini:2:"
    run --separate-stderr catlatch list -c "$dir/absent.ini"
    expect_status 78
    expect_text "$stderr" "no configuration (-c FILE or CATLATCH_CONFIG names one): $dir/absent.ini: No such"
    run --separate-stderr catlatch configtest -c "$dir/absent.ini"
    expect_status 78
    expect_text "$stderr" "no configuration (-c FILE or CATLATCH_CONFIG names one): $dir/absent.ini: No such"
}

@test "the process cannot be dumped or watched" {
    start_fake_daemon <<'RULES'
STATS {"version": "0", "keys": 0, "changes": 0, "verified": 0, "clients": 0}
RULES
    # A build that looks for leaks would want to trace itself.
    ASAN_OPTIONS=detect_leaks=0 strace -e trace=prctl,prlimit64,setrlimit -o "$dir/trace" catlatch status
    grep -q 'PR_SET_DUMPABLE, SUID_DUMP_DISABLE\|PR_SET_DUMPABLE, 0' "$dir/trace"
    grep -q 'RLIMIT_CORE, {rlim_cur=0, rlim_max=0}' "$dir/trace"
}
