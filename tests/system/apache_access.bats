#!/usr/bin/env bats
# What Apache answers under each MPM: each result, to each way of asking.

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
required = environment live
required = scope
required = address
required = limit

[service closed]
required = deny
INI
}

teardown() {
    [ -z "${dir:-}" ] || close_apache_folder
}

@test "a granted key is served, and whose it is is known to scripts, to servers behind and to the log" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
        RequestHeader set X-Owner "expr=%{reqenv:CATLATCH_OWNER}"
    </Location>
    ProxyPass /app http://127.0.0.1:PORT/said
CONF
    launch catlatchd
    granted() {
        give_key first --owner acme --scope a --scope b
        [ "$(fetch_with "$key" /hello)" = 200 ]
        [ "$(cat "$dir/answer")" = hello ]
        [ -z "$(field ratelimit)$(field www-authenticate)" ]
        expect_said "$(fetch_with "$key" /said)" 'user=acme type=Bearer'
        expect_said 200 "result=valid id=$id owner=acme name=first environment=live scopes=a b"
        expect_said "$(fetch_with "$key" /app -H 'X-Owner: mallory')" ' owner=acme'
        until_true grep -qE "^GET /hello 200 result=valid note=valid id=$id owner=acme user=acme " \
            "$dir/access.log"
    }
    under_each_mpm granted
}

@test "each result has its status, challenge and code" {
    write_apache <<'CONF'
    <Location />
        AuthType Bearer
        Require valid-key
    </Location>
    <Location /write>
        Require key-scope read write
    </Location>
    <Location /closed>
        CatlatchService closed
    </Location>
CONF
    local invalid='Bearer realm="api", error="invalid_token", error_description="Invalid API key"'
    local good revoked disabled later test spent limited each
    launch catlatchd
    give_key good && good=$key
    give_key revoked && revoked=$key && catlatch revoke "$id"
    give_key disabled && disabled=$key && catlatch disable "$id"
    give_key later --not-before 2099-01-01T00:00:00Z && later=$key
    give_key test --env test && test=$key
    each_result() {
        give_key spent --uses 1 && spent=$key
        give_key limited --rate 1/366d && limited=$key
        [ "$(fetch_with "$spent" /hello)" = 200 ]
        [ "$(fetch_with "$limited" /hello)" = 200 ]
        [ "$(field ratelimit-policy)" = '"key";q=1;w=31622400' ]
        [[ $(field ratelimit) =~ ^\"key\"\;r=0\;t=316224 ]]
        expect_refused 401 missing_credentials "$(fetch /hello)"
        [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
        for each in "$revoked" "$disabled" "$later" "$test" nonsense \
            cc_live_0000000000000000000000000000000000000i6yS3; do
            expect_refused 401 invalid_api_key "$(fetch_with "$each" /hello)"
            [ "$(field www-authenticate)" = "$invalid" ]
            jq -S 'del(.request_id)' "$dir/answer" >"$dir/this"
            [ ! -e "$dir/those" ] || cmp "$dir/this" "$dir/those"
            mv "$dir/this" "$dir/those"
        done
        expect_refused 403 insufficient_scope "$(fetch_with "$good" /write)"
        [ "$(field www-authenticate)" = \
            'Bearer realm="api", error="insufficient_scope", scope="read write"' ]
        [ "$(jq -c .required_scopes "$dir/answer")" = '["read","write"]' ]
        expect_refused 403 denied "$(fetch_with "$good" /closed)"
        [ -z "$(field www-authenticate)" ]
        expect_refused 403 usage_exceeded "$(fetch_with "$spent" /hello)"
        [ -z "$(field www-authenticate)$(field retry-after)" ]
        expect_refused 429 rate_limited "$(fetch_with "$limited" /hello)"
        [[ $(field retry-after) =~ ^3162[0-9]{4}$ ]]
        [ "$(field ratelimit-policy)" = '"key";q=1;w=31622400' ]
    }
    under_each_mpm each_result
}

@test "why a key was refused is in the logs, and which one, and nothing of its text" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
CONF
    launch catlatchd
    logged() {
        give_key revoked
        catlatch revoke "$id"
        expect_refused 401 invalid_api_key "$(fetch_with "$key" /hello)"
        until_true grep -q "^GET /hello 401 result=revoked note=revoked id=$id owner= user=- request=$(field x-request-id)" \
            "$dir/access.log"
        grep -qF "catlatch: revoked, $id" "$dir/error.log"
        until_true eval "catlatch show --json $id | jq -e '.refused_count == 1'"
    }
    under_each_mpm logged
}

@test "HTTP/2 is answered as HTTP/1.1 is" {
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
    <Location /write>
        Require key-scope write
    </Location>
CONF
    launch catlatchd
    give_key first --rate 1/366d
    mpm=event
    start_apache
    fetch2() {
        fetch_with "$1" "$2" --http2-prior-knowledge
    }
    expect_refused 401 missing_credentials "$(fetch /hello --http2-prior-knowledge)"
    [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
    grep -q '^HTTP/2 401' "$dir/head"
    expect_refused 401 invalid_api_key "$(fetch2 nonsense /hello)"
    expect_refused 403 insufficient_scope "$(fetch2 "$key" /write)"
    [ "$(fetch2 "$key" /hello)" = 200 ]
    expect_refused 429 rate_limited "$(fetch2 "$key" /hello)"
    expect_refused 400 invalid_request \
        "$(fetch /hello --http2-prior-knowledge -H 'Authorization: Bearer a' -H 'Authorization: Bearer b')"
}

# These lines, each in a request of its own on one connection, are all answered so.
expect_all() { # STATUS LINE...
    local wanted=$1 line text= said
    shift
    for line; do text+="GET /hello HTTP/1.1\r\nHost: localhost\r\n${line:+$line\r\n}\r\n"; done
    said=$(statuses "$text")
    [ "$said" = "$(printf "$wanted %.0s" "$@")" ] || {
        echo "$said: expected $wanted from each of $*"
        return 1
    }
}

@test "odd schemes, blanks, lengths and bytes: what RFC 6750 takes is taken, and nothing else" {
    write_apache <<'CONF'
    KeepAliveTimeout 1
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
CONF
    launch catlatchd
    give_key first
    local long line
    long=$(printf 'x%.0s' {1..6000})
    mpm=event
    start_apache
    expect_all 200 'Authorization: Bearer KEY' 'authorization: Bearer KEY' 'AUTHORIZATION: bearer KEY' \
        'Authorization: BEARER KEY' 'Authorization: Bearer  KEY' 'Authorization:Bearer KEY' \
        'Authorization: Bearer KEY  '
    expect_all 401 '' 'Authorization:' 'Authorization: ' 'Authorization: Basic Og==' 'Authorization: KEY' \
        'Authorization: Bearerx KEY' 'Authorization: Digest KEY' 'X-API-Key: KEY' \
        'Authorization: Digest realm="a, Bearer b", nonce="c"' \
        'Authorization-X: Bearer KEY' 'Bearer: KEY' \
        'Authorization: Bearer' 'Authorization: Bearer ' 'Authorization: Bearer\tKEY' \
        'Authorization: Bearer KEY KEY' 'Authorization: Bearer KEYx' 'Authorization: Bearer "KEY"' \
        'Authorization: Bearer \303\244\303\266' "Authorization: Bearer $long"
    # Apache itself refuses control characters, and lines longer than its buffers.
    expect_all 400 'Authorization: Bearer \001'
    expect_all 400 "Authorization: Bearer $long$long"
    # A field that comes twice is none of both, whatever the other says.
    for line in 'Bearer KEY\r\nAuthorization: Bearer KEY' 'Bearer KEY\r\nauthorization: Basic Og==' \
        'Basic Og==\r\nAuthorization: Bearer KEY' 'Digest a="b"\r\nAuthorization: Bearer KEY' \
        '\r\nAuthorization: Bearer KEY' 'Bearer KEY\r\nAuthorization:' 'Bearer KEY,'; do
        expect_all 400 "Authorization: $line"
        grep -q '"code":"invalid_request"' "$dir/raw"
        grep -q 'WWW-Authenticate: Bearer realm="api", error="invalid_request"' "$dir/raw"
    done
    # A line that goes on in the next one was given up by RFC 9112: it does not make a key.
    expect_all 401 'Authorization: Bearer\r\n cc_live_'
}

@test "methods, bodies, 100-continue and pipelines: a refusal leaves the connection in order" {
    write_apache <<'CONF'
    KeepAliveTimeout 1
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
CONF
    launch catlatchd
    give_key first
    local auth='Host: localhost\r\nAuthorization: Bearer KEY\r\n' bare='Host: localhost\r\n' method
    local refused= granted= post='POST /said HTTP/1.1\r\n' end='Connection: close\r\n\r\n'
    for method in GET OPTIONS POST PUT DELETE PATCH HEAD; do
        refused+="$method /said HTTP/1.1\r\n$bare\r\n" granted+="$method /said HTTP/1.1\r\n$auth\r\n"
    done
    in_order() {
        [ "$(statuses "$refused")" = '401 401 401 401 401 401 401 ' ]
        [ "$(grep -c 'Content-Type: application/problem+json' "$dir/raw")" -eq 7 ]
        [ "$(grep -c missing_credentials "$dir/raw")" -eq 6 ] # HEAD has no body
        [ "$(statuses "$granted")" = '200 200 200 200 200 200 200 ' ]
        # Bodies that were sent with what is refused are not taken for requests.
        [ "$(statuses "$post${bare}Content-Length: 5\r\n\r\nGET /$post${bare}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n$auth$end")" = '401 401 200 ' ]
        # Who waits for 100 is told 401, and does not send his body.
        [ "$(statuses "$post${bare}Expect: 100-continue\r\nContent-Length: 5\r\n$end")" = '401 ' ]
        [[ $(statuses "$post${auth}Expect: 100-continue\r\nContent-Length: 5\r\n${end}hello") = *'200 ' ]]
        [ "$(statuses "GET /hello HTTP/1.1\r\n${auth}\r\nGET /hello HTTP/1.1\r\n${bare}\r\nHEAD /hello HTTP/1.1\r\n${bare}\r\nGET /hello HTTP/1.1\r\n$auth$end")" = '200 401 401 200 ' ]
        [ "$(statuses "GET /hello HTTP/1.1\r\n${bare}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n")" = '401 ' ]
        [ "$(statuses "GET /hello HTTP/1.0\r\n\r\n")" = '401 ' ]
        [ "$(statuses "GET /hello HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\n\r\n")" = '200 ' ]
    }
    under_each_mpm in_order
}

@test "networks: a key is good from where it may be used, and from nowhere else" {
    write_apache <<'CONF'
    RemoteIPHeader X-Real-IP
    RemoteIPInternalProxy 127.0.0.1
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
CONF
    launch catlatchd
    from_networks() {
        give_key first --allow 192.0.2.0/24 --allow 2001:db8::/32
        [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
        [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 2001:db8::7')" = 200 ]
        expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')"
        [ -z "$(field www-authenticate)" ]
        expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello)"
        until_true eval "catlatch show --json $id | jq -e '.refused_count == 2 and .use_count == 2'"
        [[ $(catlatch show --json "$id" | jq -r .last_used_from) =~ ^(192.0.2.7|2001:db8::7)$ ]]
    }
    under_each_mpm from_networks
}
