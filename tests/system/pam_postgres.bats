#!/usr/bin/env bats
# A real PostgreSQL whose passwords are API keys: logged in by one, and not any more once it is
# revoked.

load ../cli/lib
load process
load pam

# The newest that is installed; Debian's are not in PATH.
postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)

setup() {
    PATH=$PATH:$postgres
    reason=$(pam_missing initdb psql | head -n 1)
    [ -z "$reason" ] || skip "$reason"
    open_pam_folder
    as=()
    if [ "$(id -u)" -eq 0 ]; then
        # PostgreSQL does not run as root, and where it is may be root's alone.
        as=(as_user daemon)
        set_daemon_key group daemon
    fi
    mkdir -m 755 "$dir/bin" "$dir/db"
    cp -L "$plain" "$CATLATCH_BUILD/libcatlatch.so.0" "$dir/bin/"
    cp -R "$CATLATCH_BUILD/modules" "$dir/bin/"
    chmod -R go=rX "$dir/bin"
    set_daemon_key module_dir "$dir/bin/modules"
    [ ${#as[@]} -eq 0 ] || chown daemon: "$dir/db"
    database_pid=
}

teardown() {
    [ -n "${dir:-}" ] || return 0
    stop_database
    close_pam_folder
}

stop_database() {
    [ -n "$database_pid" ] || return 0
    kill -INT "$database_pid" && wait "$database_pid" || true
    database_pid=
}

start_database() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (cd "$dir/db" && "${as[@]}" initdb -D "$dir/db/data" -U pgadmin -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null)
    cat >"$dir/db/data/pg_hba.conf" <<HBA
local all pgadmin trust
local all all pam pamservice=db
host all all 127.0.0.1/32 pam pamservice=db
HBA
    pam_service db <<PAM
auth required $dir/bin/pam_catlatch.so config=$CATLATCH_CONFIG service=pam
account required $dir/bin/pam_catlatch.so
PAM
    (cd "$dir/db" && exec "${as[@]}" env LD_LIBRARY_PATH="$dir/bin" LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 \
        PAM_WRAPPER_DEBUGLEVEL=2 PAM_WRAPPER_SERVICE_DIR="$dir/pam.d" postgres -D "$dir/db/data" -k "$dir/db" \
        -p "$port" -c listen_addresses=127.0.0.1 -c fsync=off -c log_connections=on) >>"$dir/said" 2>&1 3>&- &
    database_pid=$!
    until_true psql -h "$dir/db" -p "$port" -U pgadmin -d postgres -c 'create role alice login'
}

# Who somebody is to the database, by this key over its socket or over loopback.
query() { # HOST USER KEY
    run env PGPASSWORD="$3" PGCONNECT_TIMEOUT=30 psql -h "$1" -p "$port" -U "$2" -d postgres -wtAc 'select current_user'
    echo "$output" >>"$dir/said"
}

@test "a key logs in to PostgreSQL by its socket and by loopback, until it is revoked" {
    launch catlatchd
    give_key other bob
    theirs=$key
    give_key own alice
    start_database
    for host in "$dir/db" 127.0.0.1; do
        query "$host" alice "$key"
        [ "$output" = alice ]
        query "$host" alice "$theirs"
        expect_status 2
        expect_text "$output" 'PAM authentication failed for user "alice"'
        told=$output
        query "$host" alice "$(unknown_key 0123456789abcdefghijABCDEFGHIJ012345)"
        [ "$output" = "$told" ]
    done
    grep -qF 'opened user "alice" from 127.0.0.1: valid, service pam' "$dir/said"
    grep -qF 'refused user "alice" from 127.0.0.1: not_owner' "$dir/said"
    end_daemon
    query "$dir/db" alice "$key"
    [ "$output" = alice ]
    launch catlatchd
    catlatch revoke "$id" --yes
    for host in "$dir/db" 127.0.0.1; do
        query "$host" alice "$key"
        expect_status 2
        expect_text "$output" 'PAM authentication failed for user "alice"'
    done
    grep -qF 'refused user "alice" from 127.0.0.1: revoked, service pam' "$dir/said"
}
