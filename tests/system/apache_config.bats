#!/usr/bin/env bats
# Apache's directives: where they may stand, what they inherit, how they go with `Require` and with
# other modules, and what `apachectl configtest` says of those that are wrong.

load ../cli/lib
load process
load web
load apache

setup() {
    need_apache
    open_apache_folder <<'INI'

[service default]
requisite = format
required = table
required = scope
required = limit
INI
    mpm=event
    # What a directive means is the same under each; a long run sees to it.
    [ -n "${CATLATCH_LONG:-}" ] || mpms=event
}

teardown() {
    stop_app
    [ -z "${dir:-}" ] || close_apache_folder
}

# What is in the server is refused with this text and the line that it stands in.
refuses() { # TEXT MARK
    write_apache
    place_apache
    local line
    line=$(grep -nF "$2" "$dir/apache.conf" | head -n 1)
    run /usr/sbin/apache2 -f "$dir/apache.conf" -t
    expect_status 1
    expect_text "$output" "$1"
    [[ $output == *"$dir/apache.conf:${line%%:*}"* ]] ||
        expect_text "$output" "line ${line%%:*} of $dir/apache.conf:"
}

@test "what is wrong is refused by configtest with its file and line" {
    refuses 'CatlatchDryRun must be On or Off' 'CatlatchDryRun maybe' <<<'CatlatchDryRun maybe'
    refuses 'CatlatchHideCredentials must be On or Off' 'CatlatchHide' <<<'CatlatchHideCredentials 1'
    refuses 'catlatch: ' 'CatlatchService nosuch' <<<'CatlatchService nosuch'
    expect_text "$output" '[service nosuch]'
    refuses 'catlatch: ' 'CatlatchConfig /nonexistent' <<<'CatlatchConfig /nonexistent'
    refuses 'CatlatchConfig not allowed' 'CatlatchConfig /there' \
        <<<$'<Location />\nCatlatchConfig /there\n</Location>'
    refuses 'CatlatchService takes one argument' 'CatlatchService ""' <<<'CatlatchService ""'
    refuses 'CatlatchSource is bearer, basic or header NAME' 'CatlatchSource query' \
        <<<'CatlatchSource query key'
    refuses 'CatlatchSource is bearer, basic or header NAME' 'CatlatchSource header' \
        <<<'CatlatchSource header'
    refuses 'header Authorization is called bearer or basic' 'CatlatchSource header' \
        <<<'CatlatchSource header authorization'
    refuses 'CatlatchSource names a source twice' 'CatlatchSource header x-key' \
        <<<$'CatlatchSource header X-Key\nCatlatchSource header x-key'
    refuses 'CatlatchPreflight is check or pass' 'CatlatchPreflight on' <<<'CatlatchPreflight on'
    in_location() { printf '<Location />\nAuthType Catlatch\n%s\n</Location>\n' "$1"; }
    refuses 'valid-key takes nothing' 'Require valid-key x' < <(in_location 'Require valid-key x')
    refuses 'key-scope takes scopes, all' 'Require key-scope' < <(in_location 'Require key-scope')
    refuses 'key-scope takes scopes: each' 'Require key-scope' < <(in_location 'Require key-scope "a b"')
    refuses 'key-owner takes owners' 'Require key-owner' < <(in_location 'Require key-owner')
    printf '[service broken]\nrequired = nosuch\n' >>"$CATLATCH_CONFIG"
    refuses "$CATLATCH_CONFIG:" 'CatlatchService broken' <<<'CatlatchService broken'
    echo '[nonsense]' >>"$CATLATCH_CONFIG"
    refuses "$CATLATCH_CONFIG:" 'Require valid-key' < <(in_location 'Require valid-key')
}

@test "a daemon that does not run is no error, nor is a configuration that nobody uses" {
    write_apache </dev/null
    place_apache
    /usr/sbin/apache2 -f "$dir/apache.conf" -t
    sed -i '/^CatlatchConfig/d' "$dir/apache.conf"
    /usr/sbin/apache2 -f "$dir/apache.conf" -t
}

@test "what is said of a server holds for its sections until they say otherwise" {
    write_apache <<'CONF'
    Alias /open /DIR/html
    Alias /inner /DIR/html
    CatlatchSource header X-Outer
    <Location />
        AuthType Catlatch
        AuthName outer
        Require valid-key
        CatlatchDryRun on
    </Location>
    <Location /open>
        Require all granted
    </Location>
    <Location /inner>
        AuthName "in \"quotes\""
        Require key-scope write
        CatlatchSource bearer
        CatlatchDryRun off
    </Location>
CONF
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    give_key reader --scope read
    start_apache
    [ "$(fetch /hello)" = 200 ]
    until_true grep -q 'GET /hello 200 result=missing' "$dir/access.log"
    [ "$(fetch /hello -H @- <<<"X-Outer: $key")" = 200 ]
    until_true grep -q "GET /hello 200 result=valid note=valid id=$id" "$dir/access.log"
    [ "$(fetch /open/hello)" = 200 ]
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /inner/hello)"
    # A realm that cannot be quoted is not told.
    [ "$(field www-authenticate)" = \
        'Bearer realm="api", error="insufficient_scope", scope="write"' ]
}

@test "each virtual host has its own configuration, and its own realm" {
    mkdir -m 755 "$dir/other"
    sed '/^\[service default\]/,$d' "$CATLATCH_CONFIG" >"$dir/other/catlatch.ini"
    printf '[service default]\nrequired = deny\n' >>"$dir/other/catlatch.ini"
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        AuthName here
        Require valid-key
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:PORT>
    ServerName other.test
    CatlatchConfig other/catlatch.ini
    <Location />
        AuthType Catlatch
        AuthName there
        Require valid-key
    </Location>
CONF
    launch catlatchd
    give_key first
    start_apache
    [ "$(fetch_with "$key" /hello)" = 200 ]
    expect_refused 401 missing_credentials "$(fetch /hello)"
    [ "$(field www-authenticate)" = 'Bearer realm="here"' ]
    expect_refused 403 denied "$(fetch_with "$key" /hello -H 'Host: other.test')"
    expect_refused 401 missing_credentials "$(fetch /hello -H 'Host: other.test')"
    [ "$(field www-authenticate)" = 'Bearer realm="there"' ]
}

@test "scopes and owners: all that a line names, and lines as RequireAny and RequireAll say" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /said/both>
        Require key-scope read write
    </Location>
    <Location /said/any>
        <RequireAny>
            Require key-scope admin
            Require key-scope read write
        </RequireAny>
    </Location>
    <Location /said/all>
        <RequireAll>
            Require key-owner acme "two words"
            Require key-scope read
        </RequireAll>
    </Location>
    <Location /said/not>
        <RequireAll>
            Require valid-key
            Require not key-owner mallory
        </RequireAll>
    </Location>
    <Location /said/user>
        Require user acme
    </Location>
CONF
    launch catlatchd
    give_key both --owner acme --scope read --scope write && both=$key
    give_key read --owner acme --scope read --scope writer && read=$key
    give_key admin --owner 'two words' --scope admin && admin=$key
    give_key other --owner mallory --scope read && other=$key
    composed() {
        expect_said "$(fetch_with "$both" /said/both)" 'scopes=read write'
        expect_refused 403 insufficient_scope "$(fetch_with "$read" /said/both)"
        expect_said "$(fetch_with "$both" /said/any)" user=acme
        expect_said "$(fetch_with "$admin" /said/any)" 'user=two words'
        expect_refused 403 insufficient_scope "$(fetch_with "$read" /said/any)"
        [ "$(field www-authenticate)" = \
            'Bearer realm="api", error="insufficient_scope", scope="admin"' ]
        expect_said "$(fetch_with "$read" /said/all)" user=acme
        expect_refused 403 denied "$(fetch_with "$other" /said/all)"
        [ -z "$(field www-authenticate)" ]
        expect_refused 403 insufficient_scope "$(fetch_with "$admin" /said/all)"
        expect_said "$(fetch_with "$read" /said/not)" user=acme
        expect_refused 403 denied "$(fetch_with "$other" /said/not)"
        # What others ask of the user is asked of the owner, and a key that is not his is forbidden.
        expect_said "$(fetch_with "$read" /said/user)" user=acme
        expect_refused 403 denied "$(fetch_with "$other" /said/user)"
        expect_refused 401 missing_credentials "$(fetch /said/any)"
    }
    under_each_mpm composed
}

@test "RequireAny: an address will do, and then no key is charged" {
    write_apache <<'CONF'
    RemoteIPHeader X-Real-IP
    RemoteIPInternalProxy 127.0.0.1
    <Location />
        AuthType Catlatch
        <RequireAny>
            Require valid-key
            Require ip 192.0.2.0/24
        </RequireAny>
    </Location>
CONF
    launch catlatchd
    give_key first --rate 1/366d
    start_apache
    [ "$(fetch /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')" = 200 ]
    [ -z "$(field www-authenticate)" ]
    expect_refused 429 rate_limited "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')"
    expect_refused 401 missing_credentials "$(fetch /hello -H 'X-Real-IP: 198.51.100.7')"
}

@test "who is denied for another reason is not charged" {
    write_apache <<'CONF'
    RemoteIPHeader X-Real-IP
    RemoteIPInternalProxy 127.0.0.1
    <Location />
        AuthType Catlatch
        <RequireAll>
            Require valid-key
            Require ip 192.0.2.0/24
        </RequireAll>
    </Location>
    <Location /said>
        Require key-scope write
    </Location>
    <Location /said/owner>
        Require key-owner acme
    </Location>
CONF
    launch catlatchd
    not_charged() {
        give_key first --owner other --rate 1/366d
        [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')" = 403 ] # by who looks at addresses
        [[ $(field content-type) == text/html* ]]
        expect_refused 403 insufficient_scope "$(fetch_with "$key" /said)"
        expect_refused 403 denied "$(fetch_with "$key" /said/owner)"
        [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
        expect_refused 429 rate_limited "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')"
        until_true eval "catlatch show --json $id | jq -e '.refused_count == 2 and .use_count == 1'"
    }
    under_each_mpm not_charged
}

@test "internal redirects and subrequests are charged once, and ask for what the new location needs" {
    mkdir -m 755 "$dir/html/folder"
    echo '<!--#include virtual="/said/part" --><!--#include virtual="/hello" -->' >"$dir/html/folder/index.shtml"
    write_apache <<'CONF'
    RewriteEngine on
    RewriteRule ^/pass$ /said [PT]
    <Directory /DIR/html/redirect>
        RewriteEngine on
        RewriteRule ^up$ /write [L]
        RewriteRule ^x$ /said/x [L]
    </Directory>
    Alias /write /DIR/html/hello
    <Directory /DIR/html/folder>
        DirectoryIndex index.shtml
        Options +Includes
        AddOutputFilter INCLUDES .shtml
    </Directory>
    ErrorDocument 404 /said/lost
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /said>
        Require valid-key
    </Location>
    <Location /write>
        Require key-scope write
    </Location>
    <Files index.shtml>
        Require valid-key
    </Files>
CONF
    mkdir -m 755 "$dir/html/redirect"
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    once() {
        local each
        for each in /folder/ /pass /redirect/x /redirect/up; do
            give_key "for-${each//\//}" --owner acme --rate 1/366d --scope write
            [ "$(fetch_with "$key" "$each")" = 200 ]
            [ "$each" != /folder/ ] || expect_said 200 user=acme
            expect_refused 429 rate_limited "$(fetch_with "$key" "$each")"
        done
        give_key lost --owner acme --rate 1/366d
        [ "$(fetch_with "$key" /lost)" = 404 ]
        grep -q user=acme "$dir/answer"
        expect_refused 429 rate_limited "$(fetch_with "$key" /lost)"
        [[ $(field ratelimit) == *r=0* ]]
        # Whom the first location refused the second does not let in, and the other way round.
        expect_refused 401 missing_credentials "$(fetch /redirect/x)"
        give_key reader --owner acme
        expect_said "$(fetch_with "$key" /redirect/x)" owner=acme
        expect_refused 403 insufficient_scope "$(fetch_with "$key" /redirect/up)"
    }
    under_each_mpm once
}

@test "where only a file needs a key, who is led to it from within is charged" {
    mkdir -m 755 "$dir/html/open"
    echo indexed >"$dir/html/open/index.html"
    write_apache <<'CONF'
    DirectoryIndex index.html
    <Files index.html>
        AuthType Catlatch
        Require valid-key
    </Files>
    <Location /said/key>
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /key>
        AuthType Catlatch
        Require valid-key
    </Location>
    ScriptAlias /open-script /DIR/cgi/said
CONF
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    led() {
        give_key first --owner acme --rate 1/366d
        # A script with a path behind its name asks httpd what that path would be.
        expect_said "$(fetch_with "$key" /open-script/key)" user=nobody
        [ "$(fetch_with "$key" /open/)" = 200 ]
        [ "$(cat "$dir/answer")" = indexed ]
        [[ $(field ratelimit) == *r=0* ]]
        expect_refused 429 rate_limited "$(fetch_with "$key" /open/index.html)"
        [ "$(fetch_with "$key" /open/)" = 429 ]
        [ "$(fetch /open/)" = 401 ]
    }
    under_each_mpm led
}

@test "a page of the site's own takes the place of the body, and keeps the fields" {
    mkdir -m 755 "$dir/html/errors"
    echo 'no key' >"$dir/html/errors/401.txt"
    write_apache <<'CONF'
    ErrorDocument 401 /errors/401.txt
    ErrorDocument 403 "not so"
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /errors>
        Require all granted
    </Location>
    <Location /write>
        Require key-scope write
    </Location>
    <Location /script>
        ErrorDocument 401 /said/open
    </Location>
    <Location /said/open>
        Require all granted
    </Location>
    <Location /strict>
        Require key-scope write
        ErrorDocument 403 /said/x
    </Location>
    <Location /elsewhere>
        ErrorDocument 401 /said/x
    </Location>
    <Location /plain>
        ErrorDocument 401 default
    </Location>
    <Location /gone>
        ErrorDocument 401 /errors/nowhere.txt
    </Location>
    <Location /barred>
        ErrorDocument 401 /errors/barred
    </Location>
    <Location /errors/barred>
        Require all denied
    </Location>
CONF
    launch catlatchd
    own_pages() {
        give_key first --owner acme
        [ "$(fetch /hello)" = 401 ]
        [ "$(cat "$dir/answer")" = 'no key' ]
        [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
        [ "$(field cache-control)" = no-store ]
        [ "$(fetch_with "$key" /write)" = 403 ]
        [ "$(cat "$dir/answer")" = 'not so' ]
        [ -n "$(field www-authenticate)" ]
        expect_refused 401 missing_credentials "$(fetch /plain)"
        # A script knows the result, and nobody's name; so does the log.
        catlatch disable "$id"
        [ "$(fetch_with "$key" /script)" = 401 ]
        grep -qx 'user=nobody type=none' "$dir/answer"
        grep -qx "result=disabled id=$id owner= name= environment= scopes=" "$dir/answer"
        until_true grep -q "^GET /script 401 result=disabled note=disabled id=$id owner= " "$dir/access.log"
        catlatch enable "$id"
        # A page that needs a key itself is not shown to who has none, nor one that is not there.
        expect_refused 401 missing_credentials "$(fetch /elsewhere)"
        expect_refused 401 missing_credentials "$(fetch /gone)"
        expect_refused 401 missing_credentials "$(fetch /barred)"
        until_true grep -q '^GET /barred 403 result=missing note=missing ' "$dir/access.log"
        # Nor does a refusal become a grant where less is asked.
        expect_refused 403 insufficient_scope "$(fetch_with "$key" /strict)"
    }
    under_each_mpm own_pages
}

@test "a dry run decides, logs and lets everybody through, without an owner" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        CatlatchDryRun on
        Require valid-key
    </Location>
    <Location /said/write>
        Require key-scope write
    </Location>
    <Location /said/not>
        <RequireAll>
            Require valid-key
            Require not key-owner mallory
        </RequireAll>
    </Location>
    <Location /said/ip>
        <RequireAll>
            Require valid-key
            Require ip 192.0.2.0/24
        </RequireAll>
    </Location>
CONF
    launch catlatchd
    dry() {
        give_key first --owner acme --rate 2/366d
        expect_said "$(fetch /said)" 'user=nobody type=none'
        expect_said 200 'result=missing id= owner= '
        [ -z "$(field www-authenticate)$(field cache-control)" ]
        expect_said "$(fetch_with "$key" /said)" user=acme
        expect_said "$(fetch_with "$key" /said/write)" user=nobody
        expect_said 200 "result=insufficient_scope id=$id owner= "
        expect_said "$(fetch_with "$key" /said/not)" user=acme
        expect_said "$(fetch /said/not)" user=nobody
        [ "$(fetch_with "$key" /said/ip)" = 403 ] # by who looks at addresses
        expect_said "$(fetch_with "$key" /said)" "result=rate_limited id=$id owner= "
        catlatch revoke "$id"
        expect_said "$(fetch_with "$key" /said)" "result=revoked id=$id owner= "
        until_true grep -qF "catlatch: revoked, $id; dry run" "$dir/error.log"
    }
    under_each_mpm dry
}

@test "keys come where the configuration says, and from there alone" {
    write_apache <<'CONF'
    AliasMatch ^/(bearer|header|basic|any)$ /DIR/html/hello
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /header>
        CatlatchSource header X-API-Key
    </Location>
    <Location /basic>
        CatlatchSource basic
    </Location>
    <Location /any>
        CatlatchSource bearer
        CatlatchSource basic
        CatlatchSource header X-API-Key
    </Location>
CONF
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    give_key first --owner acme
    local bearer="Authorization: Bearer $key" header="X-API-Key: $key" each
    local user="Authorization: Basic $(printf '%s:' "$key" | base64 -w0)"
    local password="Authorization: Basic $(printf 'api:%s' "$key" | base64 -w0)"
    local both="Authorization: Basic $(printf '%s:x' "$key" | base64 -w0)"
    base64 -w0 <<<"$key" | cut -c1-40 >>"$dir/keys"
    start_apache
    for each in bearer any; do [ "$(fetch "/$each" -H @- <<<"$bearer")" = 200 ]; done
    for each in header any; do [ "$(fetch "/$each" -H @- <<<"$header")" = 200 ]; done
    for each in basic any; do
        [ "$(fetch "/$each" -H @- <<<"$user")" = 200 ]
        [ "$(fetch "/$each" -H @- <<<"$password")" = 200 ]
        [ "$(fetch "/$each" -H @- <<<"$both")" = 200 ]
        until_true grep -q "GET /$each 200 result=valid .* user=acme" "$dir/access.log"
        expect_refused 401 invalid_api_key "$(fetch "/$each" -H 'Authorization: Basic !!!')"
        expect_refused 401 invalid_api_key "$(fetch "/$each" -u api:nonsense)"
    done
    expect_refused 401 missing_credentials "$(fetch /bearer -H @- <<<"$header")"
    expect_refused 401 missing_credentials "$(fetch /bearer -H @- <<<"$user")"
    expect_refused 401 missing_credentials "$(fetch /header -H @- <<<"$bearer")"
    expect_refused 401 missing_credentials "$(fetch /basic -H @- <<<"$bearer")"
    expect_refused 401 missing_credentials "$(fetch "/bearer?key=$key")"
    # Two ways at once are none.
    expect_refused 400 invalid_request "$(fetch /any -H @- <<<"$bearer"$'\n'"$header")"
    expect_refused 400 invalid_request "$(fetch /any -H @- <<<"$user"$'\n'"$header")"
    expect_refused 400 invalid_request "$(fetch /header -H @- <<<"$header"$'\n'"$header")"
    [ "$(field www-authenticate)" = 'Bearer realm="api", error="invalid_request"' ]
    [ "$(fetch /header -H @- <<<"$bearer"$'\n'"$header")" = 200 ]
}

@test "hidden credentials go no further, and other fields do" {
    write_apache <<'CONF'
    SetEnvIf Authorization "(.*)" COPY=$1
    SetEnvIf X-API-Key "(.+)" COPY=$1
    <Location />
        AuthType Catlatch
        CatlatchHideCredentials on
        CatlatchSource bearer
        CatlatchSource header X-API-Key
        CGIPassAuth on
        Require valid-key
        RequestHeader set X-Owner "expr=%{reqenv:CATLATCH_OWNER}"
    </Location>
    <Location /shown>
        CatlatchHideCredentials off
    </Location>
    <Location /dry>
        CatlatchDryRun on
    </Location>
    <Location /any>
        <RequireAny>
            Require valid-key
            Require ip 127.0.0.1
        </RequireAny>
    </Location>
    ScriptAlias /shown /DIR/cgi/said
    ProxyPass /app http://127.0.0.1:PORT/said
    ProxyPass /dry http://127.0.0.1:PORT/said
    ProxyPass /any http://127.0.0.1:PORT/said
CONF
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    give_key first --owner acme
    hidden() {
        local each
        for each in /said /app; do
            expect_said "$(fetch_with "$key" "$each")" 'authorization= key= copy= owner=acme'
            expect_said "$(fetch "$each" -H @- <<<"X-API-Key: $key")" 'authorization= key= copy= owner=acme'
        done
        expect_said "$(fetch_with "$key" /any)" 'authorization= key= copy= owner='
        expect_said "$(fetch_with nonsense /dry)" 'authorization= key= copy= owner='
        expect_said "$(fetch /dry -H 'Authorization: Digest x')" 'authorization=Digest x key='
        expect_said "$(fetch_with "$key" /shown)" "authorization=Bearer $key key= copy=Bearer $key owner=acme"
    }
    under_each_mpm hidden
}

@test "an upgraded connection goes on after its key was granted, and is none without" {
    write_apache <<CONF
    <Location /socket>
        AuthType Catlatch
        Require valid-key
        ProxyPass unix:$dir/app.sock|http://localhost/ upgrade=ANY
    </Location>
CONF
    launch catlatchd
    start_app "$dir/app.sock"
    under_each_mpm check_upgrade /socket
}

@test "a preflight is checked, or let through where that is said" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /said/passed>
        CatlatchPreflight pass
    </Location>
CONF
    launch catlatchd
    local ask=(-X OPTIONS -H 'Origin: https://a.example' -H 'Access-Control-Request-Method: GET')
    start_apache
    expect_refused 401 missing_credentials "$(fetch /said "${ask[@]}")"
    expect_said "$(fetch /said/passed "${ask[@]}")" 'user=nobody type=none'
    expect_said 200 'result= id= owner='
    expect_refused 401 missing_credentials "$(fetch /said/passed -X OPTIONS -H 'Origin: https://a.example')"
    expect_refused 401 missing_credentials \
        "$(fetch /said/passed -X OPTIONS -H 'Access-Control-Request-Method: GET')"
    expect_refused 401 missing_credentials "$(fetch /said/passed "${ask[@]:2}")"
}

@test "a key that the table does not have has no owner and no scopes, and is nobody" {
    printf 'break-glass-000000000000000000000000000000000000000000' >"$dir/raw-key"
    sha256sum <"$dir/raw-key" | cut -d' ' -f1 >"$dir/glass"
    chmod 644 "$dir/glass"
    cat >>"$CATLATCH_CONFIG" <<INI
[service glass]
sufficient = file $dir/glass
required = table
INI
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        CatlatchService glass
        Require valid-key
    </Location>
    <Location /said/scope>
        Require key-scope read
    </Location>
    <Location /said/owner>
        Require key-owner default
    </Location>
CONF
    launch catlatchd
    glass() {
        local key
        key=$(cat "$dir/raw-key")
        expect_said "$(fetch_with "$key" /said)" 'user=nobody type=Bearer'
        expect_said 200 'result=valid id= owner= '
        expect_refused 403 insufficient_scope "$(fetch_with "$key" /said/scope)"
        expect_refused 403 denied "$(fetch_with "$key" /said/owner)"
    }
    under_each_mpm glass
}

@test "AuthType without Require, and Require without AuthType, let nobody in" {
    write_apache <<'CONF'
    <Location /said/typed>
        AuthType Catlatch
    </Location>
    <Location /said/required>
        Require valid-key
    </Location>
CONF
    launch catlatchd
    give_key first
    start_apache
    [ "$(fetch /said/typed)" = 500 ]
    [ "$(fetch_with "$key" /said/typed)" = 500 ]
    [ "$(fetch /said/required)" = 500 ]
    [ "$(fetch_with "$key" /said/required)" = 500 ]
}

@test "a .htaccess can ask for keys, and not choose what decides about them" {
    mkdir -m 755 "$dir/html/mine" "$dir/html/bold"
    echo hello | tee "$dir/html/mine/hello" >"$dir/html/bold/hello"
    printf 'AuthType Catlatch\nRequire key-scope read\n' >"$dir/html/mine/.htaccess"
    printf 'AuthType Catlatch\nCatlatchService default\nRequire valid-key\n' >"$dir/html/bold/.htaccess"
    chmod 644 "$dir"/html/*/* "$dir"/html/*/.htaccess
    write_apache <<'CONF'
    AccessFileName .htaccess
    <Directory /DIR/html>
        AllowOverride AuthConfig
    </Directory>
CONF
    sed -i "s|/DIR|$dir|" "$dir/apache.in"
    launch catlatchd
    give_key reader --scope read
    start_apache
    [ "$(fetch_with "$key" /mine/hello)" = 200 ]
    expect_refused 401 missing_credentials "$(fetch /mine/hello)"
    catlatch update "$id" --set scopes=write
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /mine/hello)"
    [ "$(fetch_with "$key" /bold/hello)" = 500 ]
}

@test "the example and the file that loads the module are as Apache wants them" {
    write_apache </dev/null
    place_apache
    {
        grep -v '^LoadModule catlatch' "$dir/apache.conf"
        sed "s|@APACHEDIR@|$(realpath "$CATLATCH_BUILD")|" "$BATS_TEST_DIRNAME/../../etc/catlatch.load"
        cat "$BATS_TEST_DIRNAME/../../etc/apache.conf"
    } | awk '/^LoadModule/ { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }' >"$dir/example.conf"
    run env APACHE_LOG_DIR="$dir" /usr/sbin/apache2 -f "$dir/example.conf" -t
    expect_status 0
    expect_text "$output" 'Syntax OK'
}
