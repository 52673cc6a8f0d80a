# The network examples against real clients; sourced by .ci/examples.

net_dir=$(mktemp -d)
net_pids=()
net_end() {
    [ "${#net_pids[@]}" -eq 0 ] || kill "${net_pids[@]}" 2>/dev/null || true
    rm -rf "$net_dir"
}
trap net_end EXIT

# start <name> <argument>...: starts an example in the background; sets `address` from its first
# line, and `pid`.
start() {
    local name=$1 _
    shift
    rm -f "$net_dir/$name.out"
    "target/release/examples/$name" "$@" >"$net_dir/$name.out" 2>"$net_dir/$name.err" &
    pid=$!
    net_pids+=("$pid")
    for _ in {1..200}; do
        address=$(sed -n '1s|.* \(http://\)\{0,1\}\([0-9.]*:[0-9]*\)$|\2|p' "$net_dir/$name.out" 2>/dev/null) || true
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    echo "$name did not start: $(cat "$net_dir/$name.err")"
    return 1
}

# expect <what> <expected> <got>
expect() {
    [ "$2" = "$3" ] || { echo "${1:0:200}: expected ${2:0:200}, got ${3:0:200}"; exit 1; }
}

# refused <command>...: fails with the status of a bad command line, and names what it wants.
refused() {
    local status=0
    "$@" >"$net_dir/refused" 2>&1 || status=$?
    expect "$*" 2 "$status"
}

refused target/release/examples/load --connections 0
grep -q -e '--connections wants a number from 1 to 1000000, not "0"' "$net_dir/refused"
refused target/release/examples/echo_server --buffer much
refused target/release/examples/http_server /no/such/directory

start echo_server 127.0.0.1:0
target/release/examples/load --connections 200 --size 1000 --duration 2 "$address" >"$net_dir/load"
grep 'per second' "$net_dir/load"
kill "$pid"

# A tree with a secret beside it, reachable by a link and by dots.
mkdir -p "$net_dir/site/sub" "$net_dir/outside"
echo secret >"$net_dir/outside/secret.txt"
echo "<h1>hello</h1>" >"$net_dir/site/index.html"
echo inner >"$net_dir/site/sub/inner.txt"
ln -s ../outside/secret.txt "$net_dir/site/leak.txt"
ln -s sub/inner.txt "$net_dir/site/link.txt"
head -c 3000000 /dev/urandom >"$net_dir/site/large.bin"
# As patient as a loaded machine may be slow; clients that are too slow get a server of their own.
start http_server --address 127.0.0.1:0 --timeout 60 "$net_dir/site"
url=http://$address

# status <expected> <curl argument>...
status() {
    local expected=$1 got
    shift
    got=$(curl -s -o /dev/null -w '%{http_code}' --path-as-is --max-time 20 "$@") || true
    expect "curl $*" "$expected" "$got"
}

# raw <expected status> <bytes as printf has them>: what curl would not send.
raw() {
    local got
    exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
    # shellcheck disable=SC2059
    printf "$2" >&3
    got=$(timeout 20 head -n 1 <&3 | cut -d' ' -f2)
    exec 3>&-
    expect "raw $2" "$1" "$got"
}

if have curl; then
    expect "the index" "<h1>hello</h1>" "$(curl -s "$url/")"
    expect "a link inside" inner "$(curl -s "$url/link.txt")"
    curl -s "$url/large.bin" | cmp - "$net_dir/site/large.bin"
    status 200 -I "$url/large.bin"
    status 301 "$url/sub"
    status 404 "$url/nothing"
    status 404 "$url/sub/"
    status 403 "$url/leak.txt"
    status 400 "$url/../outside/secret.txt"
    status 400 "$url/%2e%2e/outside/secret.txt"
    status 400 "$url/%00"
    status 405 -X DELETE "$url/"
    status 405 -d some=body "$url/"
    tag=$(curl -sI "$url/" | tr -d '\r' | sed -n 's/^ETag: //p')
    date=$(curl -sI "$url/" | tr -d '\r' | sed -n 's/^Last-Modified: //p')
    status 304 -H "If-None-Match: $tag" "$url/"
    status 304 -H "If-Modified-Since: $date" "$url/"
    status 200 -H 'If-None-Match: "other"' "$url/"
    status 431 -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" "$url/"
    # Ten requests on one connection.
    connects=$(curl -s -w '%{num_connects}\n' "$url/sub/inner.txt?[1-10]" | grep -c '^1$')
    expect "connections for ten requests" 1 "$connects"
fi
# A load that is not ours: no answer but 200, no connection that breaks.
under_wrk() {
    have wrk || debian_install wrk
    if ! have wrk; then
        echo "wrk: skipped, for it could not be installed"
        return
    fi
    timeout 120 wrk -t 2 -c 64 -d 3s --timeout 60s --latency "$url/sub/inner.txt" \
        >"$net_dir/wrk" 2>&1 || { cat "$net_dir/wrk"; exit 1; }
    grep -e 'requests in' -e 'Requests/sec' "$net_dir/wrk" || { cat "$net_dir/wrk"; exit 1; }
    if grep -q -i -e 'errors' -e 'Non-2xx' -e ' 0 requests in' "$net_dir/wrk"; then
        cat "$net_dir/wrk" "$net_dir/http_server.err"
        exit 1
    fi
}
under_wrk

raw 400 'no http at all\r\n\r\n'
raw 400 'GET / HTTP/1.1\r\n\r\n'
raw 505 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
printf 'GET /sub/inner.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /link.txt HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
expect "pipelined answers" 3 "$(timeout 20 cat <&3 | grep -a -c '^HTTP/1.1 200')"
exec 3>&-

# Every page once, by links of all kinds; a link that leads nowhere is told.
if has_example crawl; then
    refused target/release/examples/crawl ftp://somewhere/
    refused target/release/examples/crawl --connections 0 "$url/"
    cat >"$net_dir/site/start.html" <<'HTML'
<a href="sub/inner.txt">one</a> <a href='/index.html#part'>two</a> <a href="start.html">itself</a>
<img src="large.bin"> <a href="./sub/../sub/inner.txt">again</a> <a href="https://elsewhere/">far</a>
<a href="nothing.html">none</a>
HTML
    target/release/examples/crawl --connections 3 "$url/start.html" >"$net_dir/crawl"
    grep -q '^5 pages, [0-9]* bytes, 1 failed' "$net_dir/crawl" || { cat "$net_dir/crawl"; exit 1; }
    grep -q '^404 .* /nothing.html$' "$net_dir/crawl"
fi

# A request that has begun is answered after the signal; one that waits is let go.
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
exec 4<>"/dev/tcp/${address%:*}/${address#*:}"
printf 'GET /sub/inner.txt HTTP/1.1\r\n' >&3
sleep 0.2
kill -INT "$pid"
sleep 0.2
printf 'Host: x\r\n\r\n' >&3
expect "the open request" inner "$(timeout 20 cat <&3 | tail -n 1)"
expect "the idle connection" 0 "$(timeout 20 cat <&4 | wc -c)"
exec 3>&- 4>&-
wait "$pid" || { echo "http_server ended with $?: $(cat "$net_dir/http_server.err")"; exit 1; }

start http_server --address 127.0.0.1:0 --timeout 5 "$net_dir/site"
raw 408 'GET / HTTP/1.1\r\nHos'
kill "$pid"
echo "network examples: ok"
