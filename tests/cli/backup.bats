load lib

setup() {
    make_folder
    printf 'ballast_size = 4M\ncache_size = 8M\n' >>"$CATLATCH_CONFIG"
    start_daemon
}

teardown() {
    stop_daemon KILL
    [ -z "${mounted:-}" ] || umount "$mounted"
    remove_folder
}

# Further keys, many at once: $1 of them, named by $2.
make_many() {
    seq -f "KEY.CREATE NAME $2%g OWNER many" "$1" | redis-cli -s "$dir/admin/catlatch.sock" >/dev/null
}

# What a worker process of the library says of the key in file $1.
worker_says() {
    "$CATLATCH_BUILD/tests/system/verify_once" "$CATLATCH_CONFIG" <"$1"
}

stat_of() { # MEMBER
    catlatch status --json | jq -r ".$1"
}

# Two keys, a backup of both, and one of them revoked since.
backed_up() {
    make_key good && good=$id && echo "$key" >"$dir/good"
    make_key leaked && leaked=$id && echo "$key" >"$dir/leaked"
    catlatch backup "$dir/b" >/dev/null
    catlatch revoke "$leaked" --yes --reason leaked >/dev/null
}

assert_untouched() { # the store is the one before a restore
    [ "$(stat_of epoch)" -eq 1 ]
    [ ! -e "$dir/state/store.new" ]
    [ "$(cat "$dir/state/format")" = 'catlatch store 4 in store.1' ]
}

@test "a backup is a private file, verified, noted by the daemon, and never overwritten unasked" {
    make_key one
    [ "$(stat_of last_backup_at)" = null ]
    catlatch backup --json "$dir/b" | jq -e --arg file "$dir/b" '
        .file == $file and .keys == 1 and .changes == 1 and .verified and .sequence == "1:1"
        and .bytes > 300'
    [ "$(stat -c %a "$dir/b")" = 600 ]
    [ ! -e "$dir/b.partial" ]
    [ "$(stat_of last_backup_at)" != null ]
    local before
    before=$(sha256sum <"$dir/b")
    run --separate-stderr catlatch backup "$dir/b"
    expect_status 74
    expect_text "$stderr" "$dir/b is there already; choose another name, or --force"
    [ "$(sha256sum <"$dir/b")" = "$before" ]
    run catlatch backup --force "$dir/b"
    expect_status 0
    expect_text "$output" 'read back and verified'
    ! grep -q "$(tail -c 20 <<<"$key")" "$dir/b"
    stop_daemon
    start_daemon
    [ "$(stat_of last_backup_at)" != null ]
}

@test "a key that was revoked after the backup stays refused after the restore, in workers too" {
    backed_up
    make_key later
    run catlatch restore "$dir/b" --yes --json
    expect_status 0
    jq -e '.state == "done" and .keys == 2 and .revoked_again == 1 and .vanishing == 1
        and .returning == 0 and .known' <<<"$output"
    [ "$(worker_says "$dir/leaked")" = revoked ]
    [ "$(worker_says "$dir/good")" = valid ]
    [ "$(verdict "$key")" = not_found ]
    [ "$(stat_of epoch)" -eq 2 ]
    expect_text "$(catlatch log --verify)" 'whole: '
    catlatch log --kind restored --json | jq -e --argjson uid "$(id -u)" '
        length == 1 and .[0].actor.uid == $uid and .[0].fields[0].before == "1:4"
        and .[0].fields[0].after == "1:2" and .[0].id == null and .[0].owner == null'
    catlatch log --id "$leaked" --kind revoked --json | jq -e 'length == 1 and .[0].sequence == "2:6"
        and any(.[0].fields[]; .field == "revoke_reason" and .after == "leaked")'
    make_key after
    [ "$(verdict "$key")" = valid ]
    [ ! -e "$dir/state/store.1" ]
}

@test "disabled keys and suspended owners stay so; what else was narrowed comes back, and is counted" {
    make_key off && local off=$id
    make_key short --scope read && local short=$id
    make_key owned --owner eve && local owned=$id
    catlatch backup "$dir/b" >/dev/null
    catlatch disable "$off" >/dev/null
    catlatch update "$short" --set scopes= --set expires=1d >/dev/null
    catlatch owner suspend eve >/dev/null
    catlatch owner update eve --set rate=5/1m >/dev/null
    run catlatch restore "$dir/b" --dry-run --json
    jq -e '.changing == 1 and .widening == 1 and .disabled_again == 1
        and .owners_suspended_again == 1 and .owners_widening == 1' <<<"$output"
    run catlatch restore "$dir/b" --dry-run
    expect_text "$output" "1 owner's keys will together be accepted more often than now"
    catlatch restore "$dir/b" --yes >/dev/null
    [ "$(state_of "$off")" = disabled ]
    [ "$(state_of "$owned")" = disabled ]
    catlatch show --json "$short" | jq -e '.scopes == ["read"] and .expires_at == null'
    catlatch owner resume eve >/dev/null
    [ "$(state_of "$owned")" = active ]
}

use_times() { # KEY COUNT
    local i
    for ((i = 0; i < $2; i++)); do use_key "$1" 203.0.113.9 >/dev/null; done
}

uses_of() {
    catlatch show --json "$1" | jq .use_count
}

@test "uses come along, go on from where they were, and count once each" {
    make_key used
    use_times "$key" 5
    catlatch backup "$dir/b" >/dev/null
    use_times "$key" 3
    catlatch restore "$dir/b" --yes >/dev/null
    [ "$(uses_of "$id")" -eq 8 ]
    use_times "$key" 2
    [ "$(uses_of "$id")" -eq 10 ]
    stop_daemon
    catlatch restore "$dir/b" --yes >/dev/null
    start_daemon
    [ "$(uses_of "$id")" -eq 10 ]
    # What counted has gone, with the daemon: as in a power loss behind an orderly end.
    stop_daemon
    end_keeper
    catlatch restore "$dir/b" --yes >/dev/null
    start_daemon
    [ "$(uses_of "$id")" -eq 10 ]
    use_times "$key" 1
    [ "$(uses_of "$id")" -eq 11 ]
    # Another host.
    stop_daemon
    end_keeper
    rm -rf "$dir"/state/* "$dir"/run/*
    start_daemon
    catlatch restore "$dir/b" --yes --accept-resurrection >/dev/null
    [ "$(uses_of "$id")" -eq 5 ]
    catlatch show --json "$id" | jq -e '.last_used_from == "203.0.113.9"'
    use_times "$key" 1
    [ "$(uses_of "$id")" -eq 6 ]
}

@test "a dry run changes nothing, and without --yes nobody is taken by surprise" {
    backed_up
    local before
    before=$(catlatch list --json | sha256sum; stat_of sequence)
    run catlatch restore "$dir/b" --dry-run
    expect_status 0
    expect_text "$output" '1 key was revoked since, and stays so'
    run --separate-stderr catlatch restore "$dir/b"
    expect_status 64
    expect_text "$stderr" 'restore needs --yes'
    until_true test ! -e "$dir/state/store.new"
    assert_untouched
    [ "$(catlatch list --json | sha256sum; stat_of sequence)" = "$before" ]
}

@test "with the daemon stopped catlatchd restores, and the next start takes it" {
    backed_up
    stop_daemon
    run catlatch restore "$dir/b" --dry-run --json
    expect_status 0
    jq -e '.known and .revoked_again == 1' <<<"$output"
    [ "$(cat "$dir/state/format")" = 'catlatch store 4 in store.1' ]
    [ ! -e "$dir/state/store.new" ]
    run catlatch restore "$dir/b" --yes
    expect_status 0
    start_daemon
    [ "$(verdict "$(cat "$dir/leaked")")" = revoked ]
    [ "$(verdict "$(cat "$dir/good")")" = valid ]
    [ "$(stat_of epoch)" -eq 2 ]
    expect_text "$(catlatch log --verify)" 'whole: '
}

@test "where the store is gone or damaged a restore needs --accept-resurrection" {
    backed_up
    stop_daemon
    cp -a "$dir/state" "$dir/kept"
    rm -r "$dir"/state/{format,store.1}
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 1
    expect_text "$stderr" '--accept-resurrection'
    [ ! -e "$dir/state/format" ] && [ ! -e "$dir/state/store.new" ]
    run catlatch restore "$dir/b" --yes --accept-resurrection
    expect_status 0
    start_daemon
    [ "$(verdict "$(cat "$dir/leaked")")" = valid ] # nobody could tell
    [ "$(stat_of epoch)" -eq 2 ]
    stop_daemon
    rm -r "$dir/state" && mv "$dir/kept" "$dir/state"
    dd if=/dev/urandom of="$dir/state/store.1/keys.db" bs=4096 count=2 conv=notrunc status=none
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 1
    expect_text "$stderr" '--accept-resurrection'
    run catlatch restore "$dir/b" --yes --accept-resurrection
    expect_status 0
    start_daemon
    [ "$(verdict "$(cat "$dir/good")")" = valid ]
    [ "$(stat_of epoch)" -eq 3 ]
}

@test "a backup of another daemon needs --accept-resurrection too" {
    make_key mine
    catlatch backup "$dir/b" >/dev/null
    stop_daemon
    rm -r "$dir/state"/*
    start_daemon --accept-older
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 1
    expect_text "$stderr" '--accept-resurrection restores nevertheless'
    [ "$(stat_of keys)" -eq 0 ]
    run catlatch restore "$dir/b" --yes --accept-resurrection
    expect_status 0
    [ "$(verdict "$key")" = valid ]
}

@test "damaged, cut, foreign and newer files are refused with a line, whether the daemon runs or not" {
    backed_up
    local size running
    size=$(stat -c %s "$dir/b")
    head -c $((size - 1)) "$dir/b" >"$dir/cut"
    head -c 100 "$dir/b" >"$dir/stump"
    { head -c 200 "$dir/b"; printf 'X'; tail -c +202 "$dir/b"; } >"$dir/flipped"
    { head -c 8 "$dir/b"; printf '\x07'; tail -c +10 "$dir/b"; } >"$dir/newer"
    { cat "$dir/b"; echo; } >"$dir/longer"
    echo hello >"$dir/foreign"
    : >"$dir/empty"
    for running in yes no; do
        for file in cut stump flipped newer longer foreign empty; do
            run --separate-stderr catlatch restore "$dir/$file" --yes
            [ "$status" -ne 0 ] && [ "$status" -lt 100 ]
            [ "${#stderr_lines[@]}" -eq 1 ]
            expect_text "$stderr" "$dir/$file: "
            if [ $running = no ]; then
                run --separate-stderr catlatchd --restore "$dir/$file"
                [ "$status" -ne 0 ] && [ "$status" -lt 100 ]
                [ "${#stderr_lines[@]}" -eq 1 ]
            fi
        done
        [ $running = no ] || { assert_untouched && stop_daemon; }
    done
    start_daemon
    assert_untouched
    [ "$(verdict "$(cat "$dir/good")")" = valid ]
}

@test "the daemon too refuses what is no backup, and goes on" {
    make_key one
    local answer
    answer=$(printf 'RESTORE BEGIN 5\r\nRESTORE DATA hello\r\nRESTORE CHECK\r\n' |
        redis-cli -s "$dir/admin/catlatch.sock")
    expect_text "$answer" checking
    answer=$(printf 'RESTORE COMMIT\r\nRESTORE DATA x\r\nRESTORE BEGIN 0\r\nRESTORE BEGIN x\r\nRESTORE ABORT\r\nRESTORE NONSENSE\r\nBACKUP CURSOR x\r\nBACKUP CURSOR o:1:1:zz\r\nBACKUP.DONE 9:9\r\nRESTORE BEGIN 10000000000000\r\n' |
        redis-cli -s "$dir/admin/catlatch.sock")
    [ "$(grep -c . <<<"$answer")" -ge 10 ]
    ! grep -q receiving <<<"$answer"
    [ "$(verdict "$key")" = valid ]
    assert_untouched
}

@test "two tools at once: one of them is told so" {
    make_key one
    catlatch backup "$dir/b" >/dev/null
    # One that has begun, and holds on.
    coproc REDIS { redis-cli -s "$dir/admin/catlatch.sock"; }
    echo 'RESTORE BEGIN 1000' >&"${REDIS[1]}"
    read -r _ <&"${REDIS[0]}"
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 69
    expect_text "$stderr" 'another restore is under way'
    exec {REDIS[1]}>&-
    wait "$REDIS_PID" || true
    until_true catlatch restore "$dir/b" --dry-run
    # And of a backup: the file is locked.
    exec {lock}>"$dir/c.partial"
    flock "$lock"
    run --separate-stderr catlatch backup "$dir/c"
    expect_status 69
    expect_text "$stderr" 'another backup is being written'
    exec {lock}>&-
    run catlatch backup "$dir/c" # what a killed tool left is taken over
    expect_status 0
}

@test "a backup while keys are created and revoked is whole, and revokes go on" {
    make_many 5000 before
    make_key target && echo "$key" >"$dir/target" && local target=$id
    (make_many 3000 during && touch "$dir/made") 3>&- &
    catlatch backup "$dir/b1" >/dev/null
    catlatch revoke "$target" --yes >/dev/null
    catlatch backup "$dir/b2" >/dev/null
    wait $!
    catlatch restore "$dir/b2" --dry-run --json | jq -e '.returning == 0 and .changing == 0 and .known'
    catlatch restore "$dir/b1" --yes >/dev/null
    [ "$(worker_says "$dir/target")" = revoked ]
    expect_text "$(catlatch log --verify)" 'whole: '
}

@test "an interrupted tool leaves no half file, and no half restore" {
    make_many 20000 key
    catlatch backup "$dir/b" >/dev/null
    local i pid
    for i in 1 2 3 4; do
        catlatch backup "$dir/c" >/dev/null 2>&1 3>&- &
        pid=$!
        sleep "0.0$i"
        kill -INT "$pid" 2>/dev/null || true
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" || true
        [ ! -e "$dir/c.partial" ]
        rm -f "$dir/c"
        catlatch restore "$dir/b" --dry-run >/dev/null 2>&1 3>&- &
        pid=$!
        sleep "0.$i"
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    until_true catlatch restore "$dir/b" --dry-run
    until_true test ! -e "$dir/state/store.new"
    assert_untouched
}

@test "a folder that cannot be written, and a full disk, are told in a line" {
    [ "$(id -u)" -eq 0 ] || skip 'only root can mount'
    make_many 3000 key
    run --separate-stderr catlatch backup "$dir/nowhere/b"
    expect_status 74
    mkdir "$dir/disk"
    mount -t tmpfs -o size=128k none "$dir/disk" || skip 'no tmpfs may be mounted here'
    mounted=$dir/disk
    run --separate-stderr catlatch backup "$dir/disk/b"
    expect_status 74
    [ "${#stderr_lines[@]}" -eq 1 ]
    expect_text "$stderr" 'No space left on device'
    [ -z "$(ls -A "$dir/disk")" ]
    mount -o remount,ro "$dir/disk"
    run --separate-stderr catlatch backup "$dir/disk/b"
    expect_status 74
    expect_text "$stderr" 'Read-only file system'
    [ "$(stat_of last_backup_at)" = null ]
}

@test "a restore for which the disk has no room is refused, and the daemon lives" {
    [ "$(id -u)" -eq 0 ] || skip 'only root can mount'
    make_many 3000 key
    catlatch backup "$dir/b" >/dev/null
    make_key leaked
    stop_daemon
    mkdir "$dir/disk"
    mount -t tmpfs -o size=40m,mode=700 none "$dir/disk" || skip 'no tmpfs may be mounted here'
    mounted=$dir/disk
    cp -a "$dir/state/." "$dir/disk/"
    sed -i "s|^state_dir = .*|state_dir = $dir/disk|" "$CATLATCH_CONFIG"
    start_daemon
    dd if=/dev/zero of="$dir/disk/filler" bs=1M count=40 status=none 2>/dev/null || true
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 74
    expect_text "$stderr" 'no room'
    catlatch revoke "$id" --yes >/dev/null
    [ "$(verdict "$key")" = revoked ]
    [ ! -e "$dir/disk/store.new" ]
    rm "$dir/disk/filler"
    catlatch revoke "$id" --yes >/dev/null
    run catlatch restore "$dir/b" --yes
    expect_status 0
    [ "$(verdict "$key")" = revoked ]
}

@test "an older state_dir that was put back by other means begins a new epoch" {
    make_key one
    stop_daemon
    cp -a "$dir/state" "$dir/old"
    start_daemon
    make_key two
    catlatch backup "$dir/b" >/dev/null
    stop_daemon
    rm -r "$dir/state" && mv "$dir/old" "$dir/state"
    catlatchd >>"$dir/log" 2>&1 3>&- && false
    start_daemon --accept-older
    [ "$(stat_of epoch)" -eq 2 ]
    [ "$(stat_of sequence)" -eq 3 ]
    expect_text "$(catlatch log --verify)" 'whole: '
    # It forgot a part of its past, so it cannot vouch for what was revoked in it.
    run --separate-stderr catlatch restore "$dir/b" --yes
    expect_status 1
    stop_daemon
    start_daemon
    [ "$(stat_of epoch)" -eq 2 ]
}

@test "the recipe of the README works as it stands" {
    make_key one
    local recipe
    recipe=$(readme_code Backups sh)
    [ "$(grep -c '^catlatch' <<<"$recipe")" -eq 3 ]
    run bash -euc "${recipe//\/var\/backups/$dir}"
    expect_status 0
    [ "$(verdict "$key")" = valid ]
    [ "$(stat_of epoch)" -eq 2 ]
}
